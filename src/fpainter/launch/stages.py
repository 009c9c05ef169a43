"""Stages: one run that trains through several settings, such as image sizes, one after the other.

Each entry of ``stages`` in the config is merged over the whole config, and holds until its
iteration. A painter whose images become larger grows (`fpainter.generators.growing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from fpainter.checkpoints.record import in_hydras_grammar
from fpainter.errors import UserError
from fpainter.nn.sizes import as_size, is_whole, size_text


@dataclass(frozen=True)
class Stage:
    """One stage of a run, or all of a run that has none.

    Attributes:
        number: counted from 1.
        count: how many stages the run has.
        start: iterations done when it begins.
        until: iterations done when it ends; ``trainer.max_steps`` of its config.
        config: as if the run were this stage alone; its ``num_iterations`` are those of the run,
            as schedules are.
    """

    number: int
    count: int
    start: int
    until: int
    config: DictConfig

    def __str__(self) -> str:
        size = size_text(as_size(self.config.image_size))
        return (
            f"stage {self.number} of {self.count}: {size}, "
            f"iterations {self.start:,} to {self.until:,}"
        )


def stages_of(cfg: DictConfig) -> list[Stage]:
    """Return the stages of a run; those that begin after its last iteration are left out.

    Args:
        cfg: composed from ``configs/train.yaml``.

    Raises:
        UserError: if their ends do not rise, or the last is not that of the run.
    """
    total, given = cfg.num_iterations, cfg.stages
    if given is None:
        return [Stage(1, 1, 0, total, cfg)]
    listed = OmegaConf.is_list(given) and all(map(OmegaConf.is_dict, given))
    ends = [entry.get("until") for entry in given] if listed else []
    rise = all(is_whole(end) for end in ends) and all(
        first < second for first, second in pairwise(ends)
    )
    if not ends or not rise or ends[-1] < total:
        raise UserError(
            "stages must be a list with a rising until: for each stage, the last at least "
            f"num_iterations={total}; got {ends}"
        )
    count = next(index for index, end in enumerate(ends) if end >= total) + 1
    entries = cast(list[dict[str, Any]], OmegaConf.to_container(given, resolve=False))
    stages: list[Stage] = []
    for number, start in enumerate([0, *ends][:count], start=1):
        until = min(ends[number - 1], total)
        own = _settings(entries[number - 1])
        whole = OmegaConf.merge(
            cfg, _scales(stages, cfg, own), own, {"trainer": {"max_steps": until}}
        )
        stages.append(Stage(number, count, start, until, cast(DictConfig, whole)))
    return stages


def _scales(stages: Sequence[Stage], cfg: DictConfig, own: dict[str, Any]) -> dict[str, Any]:
    """Return the scales of the head with which a stage paints the pictures of the one before."""
    if not stages:
        return {}
    from fpainter.generators.growing import grown_scales  # these bring torch
    from fpainter.generators.trained import planned

    before, scales = stages[-1].config, {}
    size = OmegaConf.merge(cfg, own).image_size
    if as_size(size) != as_size(before.image_size):
        description: Any = OmegaConf.to_container(before.model.generator, resolve=True)
        scales = grown_scales(planned(description, f"stage {len(stages)}"), size)
    head = before.model.generator.get("head", {})
    kept = {name: head[name] for name in ("key_scale", "value_scale") if name in head}
    return {"model": {"generator": {"head": kept | scales}}} if kept or scales else {}


def _settings(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry of ``stages`` changes in the config."""
    return {key: value for key, value in entry.items() if key != "until"}


def stages_from(stages: Sequence[Stage], iteration: int) -> Sequence[Stage]:
    """Return the stages that are left after some iterations; of a finished run the last."""
    return [stage for stage in stages if stage.until > iteration] or stages[-1:]


def stage_overrides(config: dict[str, Any]) -> list[str]:
    """Return the overrides that make a run without stages of a stage of a run.

    Args:
        config: of the stage, resolved, plain data.
    """
    if not config.get("stages"):
        return []
    entry = next(e for e in config["stages"] if e["until"] >= config["trainer"]["max_steps"])
    head = config["model"]["generator"].get("head", {})
    scales = {n: head[n] for n in ("key_scale", "value_scale") if n in head}
    own = _flat(_settings(entry)) | _flat({"model": {"generator": {"head": scales}}})
    return ["stages=null", *(f"{key}={in_hydras_grammar(value)}" for key, value in own.items())]


def _flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
