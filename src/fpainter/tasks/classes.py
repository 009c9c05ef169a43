"""The classes of runs with labels, which only the data know, and the one that is asked for."""

from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from fpainter.checkpoints.inference import stored_class_names
from fpainter.data.labels import listed
from fpainter.errors import UserError
from fpainter.generators.sampler import Sampler
from fpainter.launch.continuation import earlier_start, find_checkpoint
from fpainter.launch.settings import in_sweep
from fpainter.training.phases import PLAYERS


def with_classes(cfg: DictConfig, run_dir: Path) -> DictConfig:
    """Complete ``data.class_names`` and both players' ``num_labels`` where the data have labels.

    A run that goes on, or begins with another run's weights, has the classes of that run.

    Args:
        cfg: composed from ``configs/train.yaml``.
        run_dir: the run directory.

    Raises:
        UserError: if there are labels that the players do not take, or the other way round.
    """
    if OmegaConf.select(cfg, "data.labels") is not True:
        for player in PLAYERS:
            key = f"model.{player}.num_labels"
            if num := OmegaConf.select(cfg, key):
                raise UserError(f"{key}={num}: the data have no labels; give data.labels=true")
        return cfg
    given = OmegaConf.select(cfg, "data.class_names")
    names: list[str] = list(given or _stored(cfg, run_dir) or instantiate(cfg.data).class_names)
    players: dict[str, Any] = {}
    for player in PLAYERS:
        num = OmegaConf.select(cfg, f"model.{player}.num_labels")
        if num is None:
            raise UserError(
                f"data.labels=true: {cfg.model[player]._target_.rpartition('.')[2]} takes no "
                f"labels; choose another {player}"
            )
        if num not in (0, len(names)):
            raise UserError(
                f"model.{player}.num_labels={num}: the data have {len(names)} classes "
                f"({listed(names)}); leave it out, and it is completed"
            )
        players[player] = {"num_labels": len(names)}
    completed = {"data": {"class_names": names}, "model": players}
    return cast(DictConfig, OmegaConf.merge(cfg, completed))


def _stored(cfg: DictConfig, run_dir: Path) -> list[str] | None:
    """Return the classes of the run that this one goes on from, if it had labels."""
    if cfg.ckpt is not None:
        return stored_class_names(Path(cfg.ckpt))
    if in_sweep() or cfg.auto_resume:
        before = earlier_start(run_dir)
        if before is not None:
            return before.config["data"].get("class_names")
    if cfg.warm_start.ckpt is not None:
        key = "warm_start.ckpt"
        return stored_class_names(find_checkpoint(cfg.warm_start.ckpt, key=key), key)
    return None


def chosen_label(sampler: Sampler, name: Any) -> int | None:
    """Return the label of a class on the command line; None for none.

    Raises:
        UserError: if there is no such class.
    """
    if name is None:
        return None
    try:
        return sampler.generator.label_of(name)
    except ValueError as error:
        raise UserError(f"label={error}") from error
