"""Scores of checkpoints or of a folder of images."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fpainter.checkpoints.inference import TrainedPainter, load_painter, searched_weights
from fpainter.data.datamodule import ImageDataModule
from fpainter.errors import UserError
from fpainter.evaluation.features import Features
from fpainter.evaluation.scorer import OF_IMAGES, Scorer, check_metrics, not_of
from fpainter.launch.devices import join_processes, pick_device
from fpainter.launch.settings import blaming, check_numbers, entries, fill_from
from fpainter.progress import Report, reporting
from fpainter.report.markdown import score_table
from fpainter.report.results import AS_TRAINED
from fpainter.tasks.chosen import edited_sampler
from fpainter.tasks.reals import build_data, reals_of

log = logging.getLogger(__name__)

# What scores must have in common to be compared.
COMPARED = {
    "protocol": "protocol",
    "Inception weights": "inception_sha256",
    "image size": "image_size",
    "real images": "reals",
    "number of fakes": "num_fake",
}
AT_LEAST_ONE = ("batch_size", "num_kept", "num_each")
DEFAULT = {"protocol": "png", "num_images": 10_000, "weights_path": None, "cache_dir": None}


class Evaluation:
    """What several scores of one command share: its options, and scorers that can be used again.

    Args:
        cfg: composed from ``configs/eval.yaml``.
        report: told how far things are.

    Raises:
        UserError: if there is no such metric.
    """

    def __init__(self, cfg: DictConfig, report: Report) -> None:
        self.cfg = cfg
        self.metrics = entries(cfg.metrics)
        with blaming("metrics"):
            check_metrics(self.metrics)
        self.device = pick_device(cfg.device)
        self.report = report
        self._scorers: dict[tuple, Scorer] = {}

    def prepare(
        self, path: str, weights: str | float
    ) -> tuple[TrainedPainter, ImageDataModule, DictConfig]:
        """Load a checkpoint's painter; what is not given of data and ``fid`` is as in its run."""
        painter = load_painter(path, weights, self.device)
        painter = replace(painter, sampler=edited_sampler(painter, self.cfg))
        data, fid = reals_of(painter, self.cfg)
        if painter.sampler.generator.num_labels and not data.class_names:
            raise UserError(
                f"ckpt={path}: paints classes, so the real images need labels; "
                "give data.labels=true"
            )
        lost = not_of(painter.sampler.generator, self.metrics)
        for name, reason in lost.items():
            log.info("ckpt=%s: no %s: %s", path, name, reason)
        if self.cfg.num_images is not None:
            fid.num_images = self.cfg.num_images
        return painter, data, fid

    def of_checkpoint(
        self, painter: TrainedPainter, data: ImageDataModule, fid: DictConfig
    ) -> dict[str, Any]:
        """Score what `prepare` returned."""
        scorer = self._scorer(data, fid)
        scores = scorer(painter.sampler)
        before = painter.sampler.before_refiner()
        if before is not None:
            scores["fid_unrefined"] = scorer.fid(before)
        return {
            "checkpoint": str(painter.path.resolve()),
            "iteration": painter.iteration,
            "weights": painter.weights,
            "seed": self.cfg.seed,
            "num_fake": fid.num_images,
            **_edits(self.cfg),
            **self._facts(scorer, data),
            "scores": scores,
        }

    def of_images(self) -> dict[str, Any]:
        """Score a folder of images."""
        cfg = self.cfg
        if others := [name for name in self.metrics if name not in OF_IMAGES]:
            raise UserError(
                f"metrics: {', '.join(others)} can only be had of a generator, with ckpt="
            )
        if cfg.image_size is None or "_target_" not in cfg.data:
            raise UserError(
                "images= also needs the real images and a size: "
                "images=DIR data=folder data.dir=REALS image_size=64"
            )
        data = build_data(fill_from(cfg.data, cfg.data), "data")
        fakes = ImageDataModule.from_folder(
            cfg.image_size,
            cfg.images,
            hint="Give images=DIR, a folder or a zip file of images",
            channels=data.channels,
            cache_dir=cfg.data.cache_dir,
        ).images
        fid = fill_from(cfg.fid, OmegaConf.create(DEFAULT))
        num = fid.num_images = min(cfg.num_images or len(fakes), len(fakes))
        scorer = self._scorer(data, fid)
        return {
            "images": str(Path(cfg.images).expanduser().resolve()),
            "num_fake": num,
            **self._facts(scorer, data),
            "scores": scorer.of_images(fakes.batch, num),
        }

    def _scorer(self, data: ImageDataModule, fid: DictConfig) -> Scorer:
        cfg, images = self.cfg, data.images
        features = fid.protocol, fid.weights_path, fid.cache_dir
        key = (images.fingerprint, fid.num_images, *features)
        if key not in self._scorers:
            with blaming("metrics or fid"):
                self._scorers[key] = Scorer(
                    Features.load(*features, self.device, cfg.batch_size, self.report),
                    images,
                    self.metrics,
                    fid.num_images,
                    cfg.num_kept,
                    cfg.seed,
                    cfg.num_each,
                )
        return self._scorers[key]

    def _facts(self, scorer: Scorer, data: ImageDataModule) -> dict[str, Any]:
        return {
            "protocol": scorer.features.protocol.name,
            "image_size": list(data.image_size),
            "num_real": len(data.images),
            "reals": data.images.fingerprint,
            "num_kept": self.cfg.num_kept,
            "data": data.source.name,
            "inception_sha256": scorer.features.extractor.weights_sha256,
        }


def evaluate(cfg: DictConfig) -> float:
    """Score checkpoints or a folder of images; write ``scores.json`` and ``scores.md``.

    Of several checkpoints or weights, both files name the best by FID where they can be compared.

    Args:
        cfg: composed from ``configs/eval.yaml``.

    Returns:
        The FID; of several checkpoints or weights, the lowest.

    Raises:
        UserError: if there is nothing to score, or it cannot be scored so.
    """
    check_numbers(cfg, *AT_LEAST_ONE, *(["num_images"] if cfg.num_images is not None else []))
    paths = [cfg.ckpt] if isinstance(cfg.ckpt, str) else list(cfg.ckpt or [])
    if bool(paths) == (cfg.images is not None):
        raise UserError("give what is to be scored: either ckpt=PATH, ckpt=[A,B] or images=DIR")
    for key, value in () if paths else _edits(cfg).items():
        raise UserError(f"{key}={value}: images are painted already; leave it out")
    rank = join_processes()
    with reporting(quiet=rank > 0) as report:
        evaluation = Evaluation(cfg, report)
        # Mistakes in any of them are said before hours are spent on scores.
        runs = [evaluation.prepare(path, w) for path in paths for w in _weights(cfg, path)]
        results = [evaluation.of_checkpoint(*run) for run in runs] or [evaluation.of_images()]
    table = score_table(results)
    content: dict[str, Any] = {"results": results}
    best = min(results, key=lambda result: result["scores"]["fid"])
    if apart := _apart(results):
        table += f"\nno best by FID: they differ in {' and '.join(apart)}\n"
    elif len(results) > 1:
        content["best"] = {key: best[key] for key in ("checkpoint", "iteration", "weights")}
        table += f"\nbest by FID: {best['checkpoint']}, weights={best['weights']}\n"
    if rank == 0:
        folder = Path(HydraConfig.get().runtime.output_dir)
        (folder / "scores.json").write_text(json.dumps(content, indent=2) + "\n")
        (folder / "scores.md").write_text(table)
        log.info("%s\nwritten to %s", table, folder / "scores.json")
    return best["scores"]["fid"]


def _apart(results: list[dict[str, Any]]) -> list[str]:
    """Return why scores cannot be compared: in what they differ."""
    apart = [name for name, key in COMPARED.items() if len({str(r[key]) for r in results}) > 1]
    # At another size the same reals are other images; that says nothing more.
    return [name for name in apart if name != "real images" or "image size" not in apart]


def _edits(cfg: DictConfig) -> dict[str, Any]:
    """Return what is painted in another way than trained."""
    given = {key: cfg[key] for key, value in AS_TRAINED.items() if cfg[key] != value}
    return {key: list(v) if OmegaConf.is_list(v) else v for key, v in given.items()}


def _weights(cfg: DictConfig, path: str) -> list[Any]:
    """Return which generators of a checkpoint are to be scored."""
    chosen: list[Any] = []
    for weights in entries(cfg.weights):
        chosen += searched_weights(path) if weights == "search" else [weights]
    return list({str(weights): weights for weights in chosen}.values())
