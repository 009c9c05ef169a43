"""Where the time of a training iteration goes, in float32 and in mixed precision."""

import copy
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fpainter.benchmarks.iteration import fit, period
from fpainter.training.ema import move_average
from fpainter.training.gan_module import GANModule
from fpainter.training.path_length import PathLengthPhase
from fpainter.training.phases import PLAYERS, PenaltyPhase

PRECISIONS = ("32-true", "bf16-mixed")
# Named as the table shows them, in the order of an iteration; what is missing did not occur.
PHASES = (
    "loading", "copying", "painting for D", "augmentation", "D on fakes", "D on reals", "penalty",
    "backward of D", "backward of D, penalised", "optimiser of D", "painting for G",
    "D on fakes for G", "D on reals for G", "backward of G", "path length",
    "backward of path length", "optimiser of G", "average", "rest",
)  # fmt: skip


def phases(
    module: GANModule,
    batches: Iterator[Tensor],
    repeats: int,
    device: torch.device,
) -> dict[str, float]:
    """Measure the phases of the iterations that users run, both precisions in turn.

    Iterations are run until they repeat, so a phase that is not in each of them counts for
    its share. On a CPU time is that of the process, of all its threads, which other programs do not
    change; on a GPU it is the clock's, the device waited for at the end of each phase.

    Args:
        module: what is trained; it is not changed.
        batches: of real images, uint8 [B C H W].
        repeats: of everything; medians count.
        device: where.

    Returns:
        for each precision and phase ``seconds`` of an iteration, ``share`` and, where they are
        counted, ``gflops`` per second, and ``iteration.seconds``; for mixed precision also each
        phase's ``ratio``, float32's time over its own.
    """
    clocks = {precision: Clock(copy.deepcopy(module), device) for precision in PRECISIONS}
    for turn in range(repeats + 1):
        for precision, clock in clocks.items():
            clock.run(batches, precision, counting=turn == 0)
    results: dict[str, float] = {}
    for precision, clock in clocks.items():
        seconds = clock.medians()
        whole = sum(seconds.values())
        results[f"{precision}.iteration.seconds"] = whole
        for name, value in seconds.items():
            results[f"{precision}.{name}.seconds"] = value
            results[f"{precision}.{name}.share"] = value / whole
            if clock.operations[name] and value:
                results[f"{precision}.{name}.gflops"] = clock.operations[name] / value / 1e9
    first, other = PRECISIONS
    for name in ("iteration", *PHASES):
        ours = results.get(f"{other}.{name}.seconds")
        if ours:
            results[f"{other}.{name}.ratio"] = results[f"{first}.{name}.seconds"] / ours
    return results


class Clock(Callback):
    """Times the parts of a module while a trainer runs it.

    Args:
        module: its parts are wrapped, so let it be a copy.
        device: waited for at the end of each phase.

    Attributes:
        operations: floating-point operations of an iteration by phase, as far as torch counts
            them: products, convolutions and LSTMs.
    """

    def __init__(self, module: GANModule, device: torch.device) -> None:
        self.module = module.to(device)
        self.device = device
        self.period = period(module)
        self.operations: Counter[str] = Counter()
        self._counter: FlopCounterMode | None = None
        self._runs: list[dict[str, float]] = []
        self._seconds: dict[str, float] = defaultdict(float)
        self._inside = self._penalised = False
        self._pulls_lengths = False
        self._begun = self._before = 0.0
        self._wrap(module.generator, "fakes", self._painting)
        self._wrap(module.discriminator, "forward", self._judging)
        self._wrap(module.augment, "forward", partial(_always, "augmentation"))
        self._wrap(module, "manual_backward", self._backward)
        self._wrap(module, "transfer_batch_to_device", partial(_always, "copying"))
        if module.regulariser is not None:
            module.regulariser = _Penalty(module.regulariser, self)  # type: ignore[assignment]
        # A regulariser's own step is charged as a whole with the passes that it alone needs.
        for phase in module.phases.values():
            if isinstance(phase, PenaltyPhase):
                self._wrap(phase, "terms", partial(_always, "penalty"), False)
            elif isinstance(phase, PathLengthPhase):
                self._wrap(phase, "terms", self._lengths, False)

    def run(self, batches: Iterator[Tensor], precision: str, counting: bool) -> None:
        """Train until iterations repeat; either count operations or take the time."""
        self._seconds = defaultdict(float)
        self.module.iteration = 0
        self._counter = FlopCounterMode(display=False, custom_mapping=_LSTM) if counting else None
        fit(self.module, self._loaded(batches), self.device, precision, self)
        if not counting:
            self._runs.append(self._seconds)

    def medians(self) -> dict[str, float]:
        """Return the seconds of each phase in an iteration."""
        found = {
            name: median(run.get(name, 0.0) for run in self._runs) / self.period for name in PHASES
        }
        return {name: max(value, 0.0) for name, value in found.items() if value}

    @contextmanager
    def phase(self, name: str, counted: bool = True) -> Iterator[None]:
        """Charge what is done inside to a phase, unless it is inside another one.

        Args:
            name: of the phase.
            counted: count its operations, too; torch cannot where modules and derivatives mix.
        """
        if self._inside:
            yield
            return
        self._inside, begun = True, self._now()
        try:
            if self._counter is None or not counted:
                yield
            else:
                with self._counter:  # each time from nothing
                    yield
                self.operations[name] += self._counter.get_total_flops() // self.period
        finally:
            self._seconds[name] += self._now() - begun
            self._inside = False

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def _wrap(
        self, owner: Any, method: str, name: Callable[..., str], counted: bool = True
    ) -> None:
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name(**kwargs), counted):
                return original(*args, **kwargs)

        setattr(owner, method, timed)

    def _painting(self, **_: Any) -> str:
        return "painting for G" if torch.is_grad_enabled() else "painting for D"

    def _judging(self, auxiliary: bool = False, **_: Any) -> str:
        if not torch.is_grad_enabled():
            return "D on reals for G"
        if auxiliary:
            return "D on reals"
        learning = next(self.module.discriminator.parameters()).requires_grad
        return "D on fakes" if learning else "D on fakes for G"

    def _backward(self, **_: Any) -> str:
        if not next(self.module.discriminator.parameters()).requires_grad:
            of_lengths, self._pulls_lengths = self._pulls_lengths, False
            return "backward of path length" if of_lengths else "backward of G"
        penalised, self._penalised = self._penalised, False
        return "backward of D, penalised" if penalised else "backward of D"

    def _lengths(self, **_: Any) -> str:
        self._pulls_lengths = True
        return "path length"

    def penalise(self, penalty: Callable[..., Tensor], *args: Any) -> Tensor:
        """Compute a penalty; the next derivatives are second ones."""
        self._penalised = True
        with self.phase("penalty"):
            return penalty(*args)

    def _loaded(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        for _ in range(self.period):
            with self.phase("loading"):
                batch = next(batches)
            yield batch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wrap the optimisers, which are there by now."""
        for player, optimiser in zip(PLAYERS, trainer.optimizers, strict=True):
            name = f"optimiser of {player[0].upper()}"
            self._wrap(optimiser, "step", partial(_always, name))

    def on_train_batch_start(self, *args: Any) -> None:
        """Begin what is not loading."""
        self._begun, self._before = self._now(), sum(self._seconds.values())

    def on_train_batch_end(self, *args: Any) -> None:
        """Charge what no phase has taken to the rest; move the average once more to time it."""
        spent = self._now() - self._begun
        self._seconds["rest"] += spent - (sum(self._seconds.values()) - self._before)
        before = self._seconds["average"]
        with self.phase("average"):
            move_average(self.module.generator_ema, self.module.generator, 0.999)
        self._seconds["rest"] -= self._seconds["average"] - before


def _always(phase: str, **_: Any) -> str:
    return phase


class _Penalty:
    """A regulariser that is timed."""

    def __init__(self, regulariser: Any, clock: Clock) -> None:
        self._regulariser, self._clock = regulariser, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._regulariser, name)

    def __call__(self, *args: Any) -> Tensor:
        return self._clock.penalise(self._regulariser, *args)


def _of_lstm(x: Any, w_input: Any, w_hidden: Any, *args: Any, out_shape: Any = None) -> int:
    """Count the products of one layer of an LSTM for all steps of x [T B d_input]."""
    steps, batch, _ = x
    return 2 * steps * batch * sum(rows * cols for rows, cols in (w_input, w_hidden))


def _of_lstm_backward(*args: Any, out_shape: Any = None) -> int:
    return 2 * _of_lstm(*args)


_LSTM = {
    torch.ops.aten.mkldnn_rnn_layer: _of_lstm,
    torch.ops.aten.mkldnn_rnn_layer_backward: _of_lstm_backward,
}
