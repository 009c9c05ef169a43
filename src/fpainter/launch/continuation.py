"""What a run goes on from: checkpoints, the overrides stored in them, earlier starts."""

import inspect
import os
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fpainter.checkpoints.record import in_hydras_grammar
from fpainter.errors import UserError
from fpainter.former import with_current_overrides
from fpainter.launch.stages import stage_overrides
from fpainter.paths import existing

# What makes two runs the same run; all else may change when one goes on.
SAME = ("model", "data", "image_size", "batch_size", "seed", "warm_start")
ELSEWHERE = ("cache_dir",)  # keys that say where something lies on this machine
# What may end a run in good order before its last iteration.
BUDGETS = ("trainer.max_time", "callbacks.budget.stop_after_cpu_minutes")
# What looks at the data when a run begins; one that goes on does not look again.
LOOKS = ("experiment=auto", "image_size=auto")


def complete_arguments(arguments: list[str]) -> list[str]:
    """Complete ``ckpt=last|best|PATH`` so that a run goes on as what it was, where it was.

    The overrides stored in the checkpoint come first, those given now win; the run directory is
    that of the checkpoint unless another is given. A warm start, too, takes the stored overrides
    when neither a model nor an experiment is named; its run directory is new. Where it grows to
    another ``image_size``, the scales with which it paints the same pictures are added.

    Args:
        arguments: the command line's overrides and flags.

    Returns:
        The same, completed; unchanged without a checkpoint.

    Raises:
        UserError: if there is nothing to go on from.
    """
    given = dict(a.split("=", 1) for a in arguments if "=" in a and not a.startswith("-"))
    if _is_given(given, "ckpt"):
        arguments = [each for each in arguments if each not in LOOKS]
        given = {key: value for key, value in given.items() if f"{key}={value}" not in LOOKS}
        path = find_checkpoint(given["ckpt"], given.get("hydra.run.dir"))
        if path.is_dir():
            raise UserError(
                f"ckpt={path}: a folder has no optimisers and no discriminator to go on with; "
                f"warm_start.ckpt={path} begins a new run with its weights"
                if not (path / "checkpoints").is_dir()
                else f"ckpt={path}: is a run directory; give ckpt=last hydra.run.dir={path}"
            )
        rest = [a for a in arguments if not a.startswith("ckpt=")]
        if "hydra.run.dir" not in given and path.parent.name == "checkpoints":
            rest.append(f"hydra.run.dir={in_hydras_grammar(str(path.parent.parent))}")
        ckpt = f"ckpt={in_hydras_grammar(str(path))}"
        return [*_stored_overrides(_record(path, "ckpt"), given), *rest, ckpt]
    if _is_given(given, "warm_start.ckpt") and not given.keys() & {"model", "experiment"}:
        path = find_checkpoint(given["warm_start.ckpt"], key="warm_start.ckpt")
        if path.is_dir():
            # Parts of the generator that the command line names are those to take.
            chosen = [key.removeprefix("model/") for key in given if key.startswith("model/")]
            if _is_given(given, "stage"):
                chosen += ["refiner", "freeze_painter"]
            from fpainter.checkpoints.inference import exported_overrides  # brings torch

            return [*exported_overrides(path, chosen, _new_size(given)), *arguments]
        record = _record(path, "warm_start.ckpt")
        stored = _stored_overrides(record, given)
        # What that run itself went on from is not what this one does.
        own = ("warm_start.", "stage=", "ckpt=", "auto_resume=")
        stored = [override for override in stored if not override.startswith(own)]
        now = _as_it_is_now(record["config"], f"warm_start.ckpt={path}", _new_size(given))
        return [*stored, *now, *arguments]
    return arguments


def _new_size(given: Mapping[str, str]) -> Any:
    """Return the image size on the command line; None without one, or with several of a sweep."""
    size = OmegaConf.from_dotlist([f"image_size={given.get('image_size', 'null')}"]).image_size
    return size if OmegaConf.is_list(size) or isinstance(size, int) else None


def _record(path: Path, key: str) -> dict[str, Any]:
    """Return what a checkpoint says of its run."""
    from fpainter.checkpoints.inference import read_checkpoint  # brings torch

    record: dict[str, Any] = read_checkpoint(path, key)["fpainter"]
    return record


def _as_it_is_now(config: dict[str, Any], where: str, image_size: Any) -> list[str]:
    """Return overrides for the settings of a checkpoint's stage, and for what growing changes."""
    from fpainter.generators.growing import grown_scales  # these bring torch
    from fpainter.generators.trained import planned

    overrides = stage_overrides(config)
    if image_size is not None:
        old = planned(config["model"]["generator"], where)
        scales = grown_scales(old, image_size)
        overrides += [f"model.generator.head.{name}={value!r}" for name, value in scales.items()]
    return overrides


def _is_given(overrides: dict[str, str], key: str) -> bool:
    return overrides.get(key, "null") not in ("null", "")


def _stored_overrides(record: dict[str, Any], given: dict[str, str]) -> list[str]:
    """Return the overrides of a checkpoint's run that are not given anew."""
    # Another data set, or another model/augment, does not have the settings of the one before.
    groups = tuple(f"{name.replace('/', '.')}." for name in given)
    return [
        override
        for override in with_current_overrides(record["overrides"])
        if override.split("=", 1)[0] not in given and not override.startswith(groups)
    ]


def find_checkpoint(wanted: str, run_dir: str | None = None, key: str = "ckpt") -> Path:
    """Find the checkpoint a user means, or the one saved before it if it is damaged.

    Args:
        wanted: as for `locate_checkpoint`.
        run_dir: as for `locate_checkpoint`.
        key: as for `locate_checkpoint`.

    Raises:
        UserError: if there is none.
    """
    path = locate_checkpoint(wanted, run_dir, key)
    from fpainter.checkpoints.inference import whole_checkpoint  # brings torch

    return whole_checkpoint(path)


def locate_checkpoint(wanted: str, run_dir: str | None = None, key: str = "ckpt") -> Path:
    """Return where the checkpoint a user means must be, without reading it.

    Args:
        wanted: ``last`` or ``best`` (of the run directory given, else of the newest run that has
            one), or a path.
        run_dir: the run directory given on the command line, if any.
        key: what asked for it, for messages.

    Raises:
        UserError: if neither it nor one saved before it is there.
    """
    wanted = wanted.strip("'\"")
    if wanted not in ("last", "best"):
        checkpoint = Path(wanted).expanduser()
    elif run_dir is not None:
        checkpoint = Path(run_dir.strip("'\"")) / "checkpoints" / f"{wanted}.ckpt"
    else:
        runs = Path(os.environ.get("FPAINTER_LOGS", "logs")) / "train"
        # A run that was killed at the wrong moment has the one before its last only.
        names = ("last", "previous") if wanted == "last" else (wanted,)
        found = [path for name in names for path in runs.glob(f"*/checkpoints/{name}.ckpt")]
        if not found:
            raise UserError(f"{key}={wanted}: no run below {runs.resolve()} has one; give its path")
        newest = max(found, key=lambda path: path.stat().st_mtime)
        checkpoint = newest.with_name(f"{wanted}.ckpt")
    checkpoint = checkpoint.resolve()
    if not checkpoint.with_name("previous.ckpt").is_file():
        existing(checkpoint, key)
    return checkpoint


@dataclass(frozen=True)
class EarlierStart:
    """What a run directory holds of a run.

    Attributes:
        checkpoint: its last one.
        iteration: how many are done.
        best_fid: None without scores.
        config: the resolved config, plain data.
        ended: whether it ended in good order, with its last scores and pictures.
    """

    checkpoint: Path
    iteration: int
    best_fid: float | None
    config: dict[str, Any]
    ended: bool = False

    def finished(self, config: DictConfig) -> str | None:
        """Say that the run is finished, and how; None if it has something left to do.

        A spent budget counts as long as it is not changed.

        Args:
            config: with the iterations and budgets that the run has now.
        """
        if self.iteration >= config.num_iterations:
            return "finished"
        if not self.ended or self.iteration >= self.config["trainer"]["max_steps"]:
            return None
        then = OmegaConf.create(self.config)
        had, has = ({k: OmegaConf.select(c, k) for k in BUDGETS} for c in (then, config))
        spent = [f"{key}={value}" for key, value in has.items() if value is not None]
        return f"finished: ended by {' or '.join(spent)}" if spent and had == has else None


def earlier_start(run_dir: Path) -> EarlierStart | None:
    """Return what an earlier start left in a run directory; None when it saved nothing.

    Raises:
        UserError: if a checkpoint there cannot be read.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    if not last.is_file() and not last.with_name("previous.ckpt").is_file():
        return None
    # Brings torch, which a sweep does not need before its first job.
    from fpainter.checkpoints import inference

    last = inference.whole_checkpoint(last)
    checkpoint = inference.read_checkpoint(last, key="auto_resume")
    fid, config = inference.best_fid(checkpoint), checkpoint["fpainter"]["config"]
    ended = inference.run_state(checkpoint).get("ended", False)
    best = fid["value"] if fid else None
    return EarlierStart(last, checkpoint["iteration"], best, config, bool(ended))


def check_unused(run_dir: Path) -> None:
    """Refuse to begin a run where another one has left checkpoints.

    Raises:
        UserError: if there are some.
    """
    found = earlier_start(run_dir)
    if found is not None:
        raise UserError(
            f"{run_dir} holds a run of {found.iteration:,} iterations, which a new one would "
            "replace: auto_resume=true goes on with it, another hydra.run.dir keeps both"
        )


def same_run(run_dir: Path, *configs: dict[str, Any]) -> EarlierStart | None:
    """Return the earlier start of this very run.

    Args:
        run_dir: where it would be.
        configs: of each of its stages, resolved, plain data.

    Raises:
        UserError: if the directory holds a run with other settings.
    """
    found = earlier_start(run_dir)
    if found is None:
        return None
    stages = [_first_difference(found.config, config) for config in configs]
    if all(stages):
        # The stage with its image size is the one that it would be.
        sizes = [config.get("image_size") for config in configs]
        size = found.config.get("image_size")
        differs = stages[sizes.index(size) if size in sizes else 0]
        raise UserError(
            f"{run_dir} holds a run with other settings: {differs}; choose another directory"
        )
    return found


def _first_difference(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """Name the first key in which two configs differ that may not."""
    parts = (_difference(there.get(key), here.get(key), key) for key in SAME)
    return next(filter(None, parts), None)


def _difference(there: Any, here: Any, key: str) -> str | None:
    """Name the first key in which two configs differ."""
    if key.endswith(ELSEWHERE):
        return None
    if isinstance(there, dict) and isinstance(here, dict):
        if "_target_" in here and there.get("_target_") == here["_target_"]:
            defaults = _defaults(here["_target_"])
            there = {k: v for k, v in defaults.items() if k in here} | there
        parts = (_difference(there.get(k), here.get(k), f"{key}.{k}") for k in {**there, **here})
        return next(filter(None, parts), None)
    return None if there == here else f"{key} is {there} there and {here} here"


def _defaults(target: str) -> dict[str, Any]:
    """Return what a constructor uses for settings that an older version did not have yet."""
    found = pkgutil.resolve_name(target)
    owner = getattr(found, "__self__", found)  # of a constructor with a name of its own
    classes = reversed(inspect.getmro(owner)) if inspect.isclass(owner) else ()
    # A class passes on what it does not know itself.
    functions = [vars(each)["__init__"] for each in classes if "__init__" in vars(each)]
    defaults: dict[str, Any] = {}
    for function in [*filter(inspect.isfunction, functions), found]:
        for name, parameter in inspect.signature(function).parameters.items():
            if isinstance(parameter.default, int | float | str):
                defaults[name] = parameter.default
    return defaults
