"""Score a checkpoint: ``python -m fpainter.eval ckpt=PATH``."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.progress import Progress

from fpainter.checkpoints.inference import instantiate_trusted, load_painter
from fpainter.errors import UserError
from fpainter.evaluation.scorer import FIDScorer
from fpainter.launch import blaming, fill_from, launch, pick_device

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig) -> float:
    """Score a checkpoint against real images and write ``scores.json``.

    What is not given comes from the run that wrote the checkpoint: its data set, protocol and
    number of images.

    Args:
        cfg: composed from ``configs/eval.yaml``.

    Returns:
        The FID.
    """
    device = pick_device(cfg.device)
    painter = load_painter(cfg.ckpt, cfg.weights, device)
    stored = painter.config
    # Reals and fakes can only be compared at the size and with the channels that are painted.
    if cfg.image_size not in (None, stored.image_size):
        raise UserError(f"image_size={cfg.image_size}: the checkpoint paints {stored.image_size}")
    cfg.image_size = stored.image_size
    data_config = fill_from(cfg.data, stored.data)
    data_config.channels = stored.data.channels
    data = instantiate_trusted(data_config, f"ckpt={cfg.ckpt}")
    fid = fill_from(cfg.fid, stored.fid)
    with Progress(transient=True) as progress:
        with blaming("fid"):
            scorer = FIDScorer(
                images=data.images,
                cache_dir=fid.cache_dir,
                protocol=fid.protocol,
                num_images=fid.num_images,
                weights_path=fid.weights_path,
                seed=cfg.seed,
                batch_size=cfg.batch_size,
                device=device,
                progress=_bars(progress),
            )
        score = scorer(painter.sampler)
        before = painter.sampler.before_refiner()
        unrefined = {} if before is None else {"fid_unrefined": scorer(before)}
    scores: dict[str, Any] = {
        "fid": score,
        **unrefined,
        "protocol": fid.protocol,
        "num_real": scorer.statistics.num_images,
        "num_fake": fid.num_images,
        "weights": painter.weights,
        "checkpoint": str(painter.path.resolve()),
        "iteration": painter.iteration,
        "seed": cfg.seed,
        "inception_sha256": scorer.statistics.weights_sha256,
    }
    path = Path(HydraConfig.get().runtime.output_dir) / "scores.json"
    path.write_text(json.dumps(scores, indent=2) + "\n")
    log.info(
        "FID %.3f%s (%s, %d fakes against %d reals, %s weights of iteration %d); written to %s",
        score, "".join(f", {each:.3f} before the refiner" for each in unrefined.values()),
        fid.protocol, fid.num_images, scores["num_real"], painter.weights,
        painter.iteration, path,
    )  # fmt: skip
    return score


def _bars(progress: Progress) -> Any:
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done)

    return show


def main() -> None:
    """Run ``fpainter-eval``."""
    launch("eval", evaluate, sys.argv[1:])


if __name__ == "__main__":
    main()
