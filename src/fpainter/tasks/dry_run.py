"""What a training will need, measured by a few of its iterations."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from fpainter.benchmarks.rehearsal import Rehearsal, rehearse
from fpainter.benchmarks.stopwatch import medians
from fpainter.callbacks.averages import PowerAverages
from fpainter.callbacks.fid import FIDCallback
from fpainter.callbacks.samples import PictureCallback
from fpainter.checkpoints.inference import read_checkpoint
from fpainter.data.cache import CachedImages
from fpainter.errors import UserError
from fpainter.evaluation.features import MOST_KEPT, Features
from fpainter.evaluation.metrics.frechet import Moments, frechet_distance
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import in_sweep
from fpainter.launch.stages import Stage, stages_from
from fpainter.pictures.selection import Selection
from fpainter.progress import reporting
from fpainter.tasks.assembled import assembled, warm_start
from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)

SCORED = {"cpu": 16, "cuda": 256}  # images with which the speed of scoring is measured
SHARED = 0.7  # of each thread's time; who has less is not alone
LAST_STATES = 3  # last.ckpt, previous.ckpt and, with scores, best.ckpt


@dataclass
class Costs:
    """Seconds and bytes of a stage or of a run, by what they are for."""

    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Costs") -> None:
        """Add those of another stage; of files that replace each other the largest counts."""
        for name, value in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + value
        for name, value in other.bytes.items():
            before = self.bytes.get(name, 0.0)
            self.bytes[name] = max(before, value) if name == "checkpoints" else before + value


def dry_run(stages: Sequence[Stage], ckpt: str | None, run_dir: Path) -> None:
    """Train a few iterations of each stage, and say what the run will take.

    The images are cached, as the run would do; nothing else is kept.

    Args:
        stages: of the run.
        ckpt: what it goes on from, if anything.
        run_dir: the run directory, which stays as it is.

    Raises:
        UserError: if the run would be refused, or is one of a sweep.
    """
    if in_sweep():
        raise UserError("dry_run=true is for one run; leave out the sweep")
    done = read_checkpoint(ckpt)["iteration"] if ckpt else 0
    whole = Costs()
    for stage in stages_from(stages, done):
        if stage.count > 1:
            log.info("%s", stage)
        whole.add(_stage(stage, max(done, stage.start), ckpt, run_dir))
    total = sum(whole.seconds.values())
    parts = ", ".join(f"{name} {_time(value)}" for name, value in whole.seconds.items())
    end = datetime.now() + timedelta(seconds=total)
    log.info("time: %s (%s); begun now it ends at %s", _time(total), parts, f"{end:%A %d %B %H:%M}")
    parts = ", ".join(f"{name} {_size(value)}" for name, value in whole.bytes.items())
    log.info("disk: %s (%s)", _size(sum(whole.bytes.values())), parts)
    limit = stages[-1].config.trainer.max_time
    if limit is not None:
        log.info("trainer.max_time=%s may end it before", limit)


def _stage(stage: Stage, done: int, ckpt: str | None, run_dir: Path) -> Costs:
    """Measure what a stage will take, and say it."""
    cfg = stage.config
    left = max(stage.until - done, 0)
    module, data, precision = assembled(cfg)
    _check_devices(cfg)
    callbacks = [instantiate(callback) for callback in cfg.callbacks.values() if callback]
    checkpoints = instantiate(cfg.checkpoints)
    if ckpt is None:
        warm_start(module, run_dir, **cfg.warm_start)
    device = pick_device("cpu" if cfg.trainer.accelerator == "cpu" else "auto")
    log.info("parameters: %s; %s on %s", module.sizes(), precision, device)
    images = data.images
    cache = sum(path.stat().st_size for path in images.folder.iterdir())
    log.info("%s images of %s in %s", f"{len(images):,}", _shape(images), images.folder)
    found = rehearse(module, iter(data.train_dataloader()), device, precision)
    _say_iterations(found, cfg.batch_size)
    if device.type == "cpu" and found.busy < SHARED * torch.get_num_threads():
        log.warning(
            "other programs use this processor, too: alone, an iteration would take about %.2g s",
            found.seconds * found.busy / torch.get_num_threads(),
        )
    if cfg.trainer.devices not in (1, "auto") or cfg.compile:
        log.info("measured on one device and without compile")
    costs = Costs({"iterations": left * found.seconds}, {"image cache": cache})
    # What Lightning and the callbacks add to a checkpoint is small.
    states = LAST_STATES + (left // checkpoints.keep_every if checkpoints.keep_every else 0)
    costs.bytes["checkpoints"] = states * found.stored
    module.to(device)
    for callback in callbacks:
        if isinstance(callback, PictureCallback):
            _add_pictures(costs, callback, module, left)
        elif isinstance(callback, PowerAverages) and callback.enabled:
            weights = sum(p.nbytes for p in module.generator.state_dict().values())
            horizons = len(callback.horizons)
            costs.bytes["averages"] = callback.max_snapshots * horizons * weights
        elif isinstance(callback, FIDCallback):
            _add_scores(costs, callback, module, images, left)
    return costs


def _check_devices(cfg: DictConfig) -> None:
    """Say if this machine has not what the run needs, which may be for another one."""
    accelerator = cfg.trainer.accelerator
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        log.warning("trainer.accelerator=%s needs a GPU, and this machine has none", accelerator)


def _say_iterations(found: Rehearsal, batch_size: int) -> None:
    kinds = ""
    if len(found.kinds) > 1:
        kinds = f" ({', '.join(f'{spent:.3g} s for {share:.0%}' for share, spent in found.kinds)})"
    log.info(
        "%.3g s per iteration%s, %.3g images a second; at most %s of memory",
        found.seconds, kinds, batch_size / found.seconds,
        "an unknown amount" if found.memory is None else _size(found.memory),
    )  # fmt: skip


def _add_pictures(costs: Costs, callback: PictureCallback, module: GANModule, left: int) -> None:
    """Draw a picture once; PNG needs no more bytes than it has pixels and channels."""
    picture: Any = None

    def draw() -> None:
        nonlocal picture
        picture = callback.picture(module)

    seconds = medians({"": draw}, 1, module.device)[""]
    if picture is None:
        return
    num = 1 + (left // callback.every if callback.every else 0)
    size = picture.width * picture.height * len(picture.getbands())
    costs.add(Costs({"pictures": num * seconds}, {"pictures (at most)": num * size}))


def _add_scores(
    costs: Costs, callback: FIDCallback, module: GANModule, images: CachedImages, left: int
) -> None:
    """Measure how fast a few images are scored, or say that it is not known."""
    if not callback.every:
        log.info("no scores")
        return
    num = -(-left // callback.every)
    device = torch.device("cpu") if module.device.type == "mps" else module.device
    try:
        with reporting() as report:
            features = callback.load_features(device=device, report=report)
    except UserError as error:
        log.warning("scores: how long they take is not known: %s", error)
        return
    rate, of_distance = _scoring(features, module)
    seconds = callback.num_images / rate + of_distance
    log.info(
        "scores: %d of %s fakes, %s each (%.3g images a second)",
        num, f"{callback.num_images:,}", _time(seconds), rate,
    )  # fmt: skip
    costs.seconds["scores"] = num * seconds
    if not features.path(images, len(images)).is_file():
        size, single = features.extractor.num_features, len(images) <= MOST_KEPT
        costs.seconds["statistics of the reals"] = len(images) / rate + 2 * of_distance
        # Two matrices in float64, and single features in float32.
        costs.bytes["statistics of the reals"] = 16 * size**2 + single * 4 * size * len(images)


def _scoring(features: Features, module: GANModule) -> tuple[float, float]:
    """Return images a second, drawn and seen by the network, and the seconds of a distance."""
    sampler = module.sampler()
    num = SCORED.get(features.extractor.device.type, SCORED["cpu"])

    def draw(indices: Sequence[int]) -> Tensor:
        return Selection(sampler, 0, tuple(indices)).images()["images"]

    def extract() -> None:
        for _ in features.extract(draw, num, "speed of scores"):
            pass

    device, size = features.extractor.device, features.extractor.num_features
    noise = torch.randn(size, size, dtype=torch.float64, device=device)
    moments = Moments(size + 1, noise[0], noise @ noise.T / size)
    seconds = medians({"": extract}, 1, device)[""]
    distance = medians({"": lambda: frechet_distance(moments, moments, noise)}, 1, device)[""]
    return num / seconds, distance


def _shape(images: CachedImages) -> str:
    return "×".join(map(str, images.shape[1:]))


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
