"""The first iterations of a run, and what they say of all the others."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from fpainter.benchmarks.iteration import fit, period
from fpainter.benchmarks.stopwatch import most_memory
from fpainter.training.gan_module import GANModule
from fpainter.training.judging import Batch

AT_LEAST = 3  # iterations
_Kind = tuple[bool, ...]  # which of an iteration's steps, and its penalty, are due


@dataclass(frozen=True)
class Rehearsal:
    """What iterations took.

    Attributes:
        seconds: of an iteration, the mean over those to come.
        kinds: share of all iterations and seconds of each kind, the most frequent first: with a
            penalty that is not always due, those without it and those with it.
        busy: processor seconds of all threads for each second of these iterations.
        memory: bytes of the device, or of the process, at their most; None where unknown.
        stored: bytes of the module's weights and its optimisers' state.
    """

    seconds: float
    kinds: tuple[tuple[float, float], ...]
    busy: float
    memory: float | None
    stored: int


def rehearse(
    module: GANModule, batches: Iterator[Batch], device: torch.device, precision: str
) -> Rehearsal:
    """Train three iterations by the trainer that users run, or one more than there are kinds.

    The first only warms up. A kind that is rare is taken as often as it will come.

    Args:
        module: what is trained; it has learnt a little afterwards.
        batches: of the training images, endless.
        device: where.
        precision: of the trainer.
    """
    clock = _Clock(module, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    fit(module, islice(batches, len(clock.iterations)), device, precision, clock)
    total = sum(clock.counts.values())
    kinds = tuple((count / total, clock.seconds[k]) for k, count in clock.counts.most_common())
    seconds = sum(share * spent for share, spent in kinds)
    return Rehearsal(seconds, kinds, clock.busy, most_memory(device), clock.stored)


class _Clock(Callback):
    """Times one iteration of each kind."""

    def __init__(self, module: GANModule, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[_Kind, float] = {}
        self.stored = 0
        self.busy = 1.0
        self._begun = 0.0, 0.0
        first: dict[_Kind, int] = {}
        self.counts: Counter[_Kind] = Counter()
        for iteration in range(period(module)):
            kind = _kind(module, iteration)
            first.setdefault(kind, iteration)
            self.counts[kind] += 1
        common, *rare = (first[kind] for kind, _ in self.counts.most_common())
        self.iterations = [common, *rare, common]
        self.iterations += [common] * (AT_LEAST - len(self.iterations))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks of the machine and of the process."""
        self._begun = time.perf_counter(), time.process_time()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Let the module be where an iteration of the next kind is due."""
        assert isinstance(pl_module, GANModule)
        pl_module.iteration = self.iterations[batch_idx]

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the time, with the wait for the images and for the device."""
        assert isinstance(pl_module, GANModule)
        pl_module.metrics["loss/generator"].item()
        spent = time.perf_counter() - pl_module.begun
        self.seconds[_kind(pl_module, self.iterations[batch_idx])] = spent

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clocks; add up what a checkpoint will hold."""
        begun, spent = self._begun
        self.busy = (time.process_time() - spent) / (time.perf_counter() - begun)
        states = [state for each in trainer.optimizers for state in each.state.values()]
        tensors = [*pl_module.state_dict().values(), *(v for s in states for v in s.values())]
        self.stored = sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))


def _kind(module: GANModule, iteration: int) -> _Kind:
    """Return what is due at an iteration."""
    before, module.iteration = module.iteration, iteration
    phases: Any = module.phases.values()
    due = tuple(phase.due(module) for phase in phases)
    module.iteration = before
    return (*due, module.regulariser is not None and module.regulariser.due(iteration))
