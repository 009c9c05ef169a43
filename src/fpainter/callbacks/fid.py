"""FID while training: the averaged generator against the training images."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from fpainter.callbacks.metrics import IterationBar, report
from fpainter.callbacks.stopping import stop_requested
from fpainter.errors import UserError
from fpainter.evaluation.features import Features
from fpainter.evaluation.protocols import get_protocol
from fpainter.evaluation.scorer import TABLES, Scorer, check_metrics, least_images
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.sampler import Sampler
from fpainter.nn.sizes import size_text
from fpainter.report.results import setting
from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)


class ScoreGivenUpError(Exception):
    """The run was told to stop in the middle of a score."""


class FIDCallback(Callback):
    """Score the averaged generator every so often and at the end; metric ``fid``.

    Where images are refined, ``fid_unrefined`` is that of the images before. Where there are
    labels, those of the fakes are drawn from those of the reals.

    Statistics of the reals are computed once per data set, protocol and weights, when the first
    score is due, and kept on disk. Without Inception weights one line says what to do, and training
    goes on without scores. A run of one process that is told to stop gives up the score it is at,
    and makes it up when it goes on; several processes finish it first.

    Args:
        protocol: how images are prepared: ``png``, ``paper``, ``clean`` or ``torch_fidelity``.
        num_images: fakes per score.
        every: iterations between scores; 0 scores never.
        weights_path: Inception weights; None looks for the installed ones.
        seed: of the fakes' latents; image i of a seed is the same at every score.
        batch_size: images per forward pass.
        cache_dir: where the statistics are kept; None for the user's cache.
        enabled: False turns scoring off, whatever `every` says.
        metrics: further metrics of `fpainter.evaluation.scorer`, all but ``fid_by_step``
            and ``fid_by_label``.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        protocol: str = "png",
        num_images: int = 10_000,
        every: int = 5_000,
        weights_path: str | None = None,
        seed: int = 0,
        batch_size: int = 64,
        cache_dir: str | Path | None = None,
        enabled: bool = True,
        metrics: Sequence[str] = ("fid",),
    ) -> None:
        check_metrics(metrics)
        least = least_images(metrics)
        if every < 0 or num_images < least:
            raise ValueError(
                f"every must be at least 0 and num_images at least {least}; "
                f"got {every}, {num_images}"
            )
        for name in TABLES:
            if name in metrics:
                raise ValueError(f"{name} is no single number; fpainter.eval computes it")
        self.protocol = get_protocol(protocol).name
        self.every = every if enabled else 0
        self.num_images = num_images
        # Devices and images are known when training starts.
        self.load_features = partial(
            Features.load, protocol, weights_path, cache_dir, batch_size=batch_size
        )
        self._scorer_of = partial(Scorer, metrics=metrics, num_images=num_images, seed=seed)
        self._scorer: Scorer | None = None
        self._scored_at = self._owed_at = -1
        self._unrefined: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Load the feature network, or say why there are no scores; make up one that is owed."""
        if not self.every:
            return
        # The first process may have to download weights, which the others then find.
        for turn_of_first in (True, False):
            if trainer.is_global_zero == turn_of_first:
                self._load(trainer, pl_module)
            trainer.strategy.barrier()
        if not trainer.strategy.reduce_boolean_decision(self._scorer is not None):
            self._scorer = None  # another process, perhaps on another machine, cannot score
        if isinstance(trainer.progress_bar_callback, IterationBar):
            trainer.progress_bar_callback.scores_every = self.every if self._scorer else 0
        if self._owed_at == pl_module.iteration:
            self._score(trainer, pl_module)

    def _load(self, trainer: Trainer, module: GANModule) -> None:
        # The Fréchet distance needs float64, which Apple's GPUs have not.
        device = "cpu" if module.device.type == "mps" else module.device
        try:
            features = self.load_features(device=device, report=partial(self._show, trainer))
            images = trainer.datamodule.images  # type: ignore[attr-defined]
            self._scorer = self._scorer_of(features, images)
        except (UserError, ValueError) as error:
            log.warning("training goes on without FID: %s", error)

    def _show(self, trainer: Trainer, what: str, done: int, total: int) -> None:
        if trainer.world_size == 1 and stop_requested():
            raise ScoreGivenUpError
        if isinstance(trainer.progress_bar_callback, IterationBar):
            trainer.progress_bar_callback.score(what, done, total)

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Score when it is time to."""
        if self.every and pl_module.iteration % self.every == 0:
            self._score(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Score the last state, unless it has just been scored."""
        if self.every and self._scored_at != pl_module.iteration:
            self._score(trainer, pl_module)

    def _score(self, trainer: Trainer, module: GANModule) -> None:
        """Score and report if there is a network; what is given up is owed."""
        if self._scorer is None:
            return
        sampler, begun = module.sampler(), time.monotonic()
        try:
            self._scorer.prepare()
            prepared = time.monotonic()
            scores = _numbers(self._scorer(sampler)) | self._score_unrefined(sampler)
        except ScoreGivenUpError:
            log.info("gave up the score of iteration %d; it is made up later", module.iteration)
            self._owed_at = module.iteration
            return
        self._scored_at, self._owed_at = module.iteration, -1
        size = size_text(trainer.datamodule.image_size)  # type: ignore[attr-defined]
        scored_by = f"{setting(self.protocol, self.num_images)}, {size}"
        report(trainer, scores, module.iteration, scored_by)
        # Where early stopping, sweepers and the checkpoint callback look for it.
        trainer.callback_metrics["fid"] = torch.tensor(scores["fid"])
        bar = trainer.progress_bar_callback
        if isinstance(bar, IterationBar):
            bar.scored(time.monotonic() - prepared, prepared - begun)
            line = f"iteration {module.iteration}: FID {scores['fid']:.2f} ({self.protocol})"
            if "fid_unrefined" in scores:
                line += f", {scores['fid_unrefined']:.2f} before the refiner"
            bar.say(line)

    def _score_unrefined(self, sampler: Sampler) -> dict[str, float]:
        """Score the images before they are refined, if they are; frozen ones only once."""
        assert self._scorer is not None
        before = sampler.before_refiner()
        if before is None:
            return {}
        generator = before.generator
        frozen = isinstance(generator, PaintingGenerator) and generator.frozen
        if self._unrefined is None or not frozen:
            self._unrefined = self._scorer.fid(before)
        return {"fid_unrefined": self._unrefined}

    def state_dict(self) -> dict[str, Any]:
        """Return at which iteration a score was given up."""
        return {"owed_at": self._owed_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the score that was given up."""
        self._owed_at = state_dict["owed_at"]


def _numbers(scores: dict[str, Any]) -> dict[str, float]:
    """Return the scores that are single numbers, and the values or means of those with an error."""
    values = {
        name: score.get("mean", score.get("value")) if isinstance(score, dict) else score
        for name, score in scores.items()
    }
    return {name: value for name, value in values.items() if isinstance(value, float)}
