"""Training: modules, data, callbacks and trainer put together from the config."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig, OmegaConf

from fpainter.callbacks.checkpoints import RunCheckpoints
from fpainter.callbacks.growing import GrowingCheckpointFile
from fpainter.callbacks.record import RunRecord
from fpainter.callbacks.stopping import Stopping
from fpainter.checkpoints.inference import read_checkpoint
from fpainter.checkpoints.record import in_hydras_grammar
from fpainter.data.streaming.formats import absolute
from fpainter.errors import UserError
from fpainter.launch.continuation import check_unused, same_run
from fpainter.launch.processes import launched, launching
from fpainter.launch.settings import check_numbers, in_sweep
from fpainter.launch.stages import Stage, stages_from, stages_of
from fpainter.loggers.metrics_file import MetricsFile
from fpainter.tasks.assembled import assembled, check_later, warm_start
from fpainter.tasks.classes import with_classes
from fpainter.tasks.dry_run import dry_run

log = logging.getLogger(__name__)

# What a run records as absolute.
PATHS = (
    "warm_start.ckpt", "data.dir", "data.shards", "data.path", "data.cache_dir",
    "fid.weights_path", "fid.cache_dir",
)  # fmt: skip


def train(cfg: DictConfig) -> float | None:
    """Train what the config says, through its stages if it has any.

    Args:
        cfg: composed from ``configs/train.yaml``.

    Returns:
        The best FID, for sweepers; None without scores.
    """
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    check_numbers(cfg, "num_iterations")
    if not isinstance(cfg.trainer.max_time, str | DictConfig | None):
        raise UserError(
            f"trainer.max_time={cfg.trainer.max_time}: give days:hours:minutes:seconds, "
            "such as 00:02:00:00"
        )
    cfg = with_classes(cfg, run_dir)
    stages, ckpt = stages_of(cfg), cfg.ckpt
    records = {stage.number: _recorded(stage.config) for stage in stages}
    if in_sweep() or (cfg.auto_resume and ckpt is None):
        before = same_run(run_dir, *(config for config, _ in records.values()))
        if before is not None and (finished := before.finished(cfg)):
            log.info("%s is %s", run_dir, finished)
            return before.best_fid
        ckpt = ckpt if before is None else before.checkpoint
    elif ckpt is None or Path(ckpt).resolve().parent != (run_dir / "checkpoints").resolve():
        check_unused(run_dir)
    if cfg.dry_run:
        dry_run(stages, ckpt, run_dir)
        return None
    check_later(stages)
    done = read_checkpoint(ckpt)["iteration"] if ckpt else 0
    if done >= cfg.num_iterations:
        log.info("%s has %d iterations; num_iterations=NUMBER asks for more", ckpt, done)
        return None
    chosen: Any = HydraConfig.get().runtime.choices
    if chosen["data"] == "portraits" and chosen.get("experiment") != "demo":
        log.info("trains on portraits that fpainter draws; data=folder data.dir=PATH has others")
    for stage in stages_from(stages, done):
        run = RunRecord(run_dir, *records[stage.number])
        checkpoints, done = _train_stage(stage, run, ckpt, done)
        ckpt = checkpoints.last
        if done < stage.until or launched():  # the process that launched this one launches another
            break
    if checkpoints.best_score < float("inf"):
        return checkpoints.best_score
    if in_sweep() and "direction" in HydraConfig.get().sweeper:
        raise UserError("the sweeper looks for the best FID, and this run has no FID")
    return None


def _train_stage(
    stage: Stage, run: RunRecord, ckpt: str | Path | None, done: int
) -> tuple[RunCheckpoints, int]:
    """Assemble module, data, callbacks and trainer of a stage, and train it to its end.

    Args:
        stage: perhaps the only one.
        run: says what it is.
        ckpt: what it goes on from; at its first iteration, the last checkpoint of the one before.
        done: iterations done.

    Returns:
        What has kept its checkpoints, and how many iterations are done now.
    """
    cfg, run_dir = stage.config, run.directory
    module, data, precision = assembled(cfg)
    checkpoints: RunCheckpoints = instantiate(cfg.checkpoints)
    callbacks = [
        *(instantiate(callback) for callback in cfg.callbacks.values() if callback),
        run,
        checkpoints,
    ]
    if ckpt is None:  # a run that goes on has its own weights
        callbacks += warm_start(module, run_dir, **cfg.warm_start)
    loggers: list[Logger] = [
        MetricsFile(run_dir),
        *(instantiate(logger) for logger in (cfg.logger or {}).values() if logger),
    ]
    trainer: Trainer = instantiate(
        cfg.trainer, precision=precision, callbacks=callbacks, logger=loggers
    )
    # Lightning would load a checkpoint before it does this, and round float64 weights.
    trainer.precision_plugin.convert_module(module)
    log.info("parameters: %s; %s; run directory %s", module.sizes(), precision, run_dir)
    if stage.number > 1 and done == stage.start:
        trainer.strategy.checkpoint_io = GrowingCheckpointFile(
            trainer, module, cfg.batch_size, run, checkpoints, str(stage)
        )
    elif stage.count > 1:
        log.info("%s", stage)
    with launching(ckpt), Stopping(trainer):
        trainer.fit(module, data, ckpt_path=ckpt, weights_only=True if ckpt else None)
        trainer.strategy.barrier()  # the next stage reads what the first process has saved
    if trainer.is_global_zero:
        timers = [c for c in trainer.callbacks if isinstance(c, Timer)]  # type: ignore[attr-defined]
        if any((timer.time_remaining() or 1) <= 0 for timer in timers):
            over = "trainer.max_time=%s is over; with a longer one the run goes on"
            log.info(over, cfg.trainer.max_time)
        log.info("results in %s\n%s", run_dir, _contents(run_dir))
    return checkpoints, module.iteration


def _recorded(cfg: DictConfig) -> tuple[dict[str, Any], list[str]]:
    """Return the resolved config and the overrides, with paths that hold in any directory."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    paths = {}
    for name in PATHS:
        section, key = name.split(".")
        if config[section].get(key) is not None:
            paths[name] = config[section][key] = absolute(config[section][key], key)
    overrides = []
    for override in HydraConfig.get().overrides.task:
        name = override.partition("=")[0]
        if name != "+sweep":  # a job of a sweep is no sweep itself
            new = f"{name}={in_hydras_grammar(paths[name])}" if name in paths else override
            overrides.append(new)
    return config, overrides


def _contents(run_dir: Path) -> str:
    """List what a run leaves, newest pictures only."""
    newest = [sorted(run_dir.glob(f"{name}/*"))[-1:] for name in ("samples", "strips", "walks")]
    names = ("viewer.html", "metrics.csv", "curves.png", "config.yaml", "checkpoints/*.ckpt")
    others = [sorted(run_dir.glob(name)) for name in names]
    return "\n".join(f"  {path}" for paths in newest + others for path in paths)
