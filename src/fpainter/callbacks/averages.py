"""Averages from which the horizon can be chosen after training."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from fpainter.checkpoints.averages import save_snapshot, snapshots
from fpainter.generators.base import Generator
from fpainter.nn.sizes import first_misfit, is_whole
from fpainter.training.ema import move_average
from fpainter.training.gan_module import GANModule
from fpainter.training.post_hoc import Profile, kept_share, power


class PowerAverages(Callback):
    """Keep power function averages of the generator, and snapshots of them now and then.

    The averages move after every iteration and are part of checkpoints. They begin anew when the
    generator's weights change shape, and in a run that goes on without averages of these horizons.
    However long a run, half of `max_snapshots` or more are kept of its present stage, evenly
    spread: with each one that is written go those that do not fit, be it that the distance has
    doubled or that a lost run left them. An earlier checkpoint has those of them before it.

    Args:
        directory: the run's folder ``averages``, beside ``checkpoints``.
        enabled: false does nothing.
        horizons: of the averages, each above 0 and at most 0.2886 of the iterations averaged.
        every: iterations between snapshots at first.
        max_snapshots: how many are kept.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        directory: str | Path,
        enabled: bool,
        horizons: Sequence[float] = (0.05, 0.10),
        every: int = 100,
        max_snapshots: int = 32,
    ) -> None:
        if not horizons or len(set(horizons)) < len(horizons):
            raise ValueError(f"averages.horizons must be different numbers; got {list(horizons)}")
        for horizon in horizons:
            power(horizon)
        if not (is_whole(every) and is_whole(max_snapshots, least=2)):
            raise ValueError(
                "averages.every must be at least 1 and averages.max_snapshots at least 2; "
                f"got {every} and {max_snapshots}"
            )
        self.directory = Path(directory)
        self.enabled = enabled
        self.horizons = tuple(float(horizon) for horizon in horizons)
        self.every = every
        self.max_snapshots = max_snapshots
        self._start = 0
        self._averages: dict[float, Generator] = {}
        self._stored: dict[str, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Go on with a checkpoint's averages, unless they are of other horizons or shapes."""
        states = self._stored.get("states", {})
        if not self.enabled or states.keys() != set(map(str, self.horizons)):
            return
        if any(first_misfit(pl_module.generator.state_dict(), s) for s in states.values()):
            return
        self._begin(pl_module, self._stored["start"])
        for horizon, average in self._averages.items():
            average.load_state_dict(states[str(horizon)])

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Move the averages, and write a snapshot when it is time to.

        Raises:
            UserError: if the disk refuses a snapshot.
        """
        if not self.enabled:
            return
        own = pl_module.generator.state_dict()
        if not self._averages or first_misfit(own, self._averages[self.horizons[0]].state_dict()):
            self._begin(pl_module, pl_module.iteration - 1)
        length = pl_module.iteration - self._start
        generator = pl_module.generator
        for horizon, average in self._averages.items():
            share = kept_share(Profile(horizon, length))
            move_average(average, generator, share, generator.copied)
        if trainer.is_global_zero and length % self._distance(length) == 0:
            self._save(pl_module.iteration)

    def _begin(self, module: GANModule, start: int) -> None:
        self._start = start
        self._averages = {h: copy.deepcopy(module.generator_ema) for h in self.horizons}

    def _distance(self, length: int) -> int:
        """Return the iterations between snapshots of a run of this length."""
        distance = self.every
        while distance * self.max_snapshots < length:
            distance *= 2
        return distance

    def _save(self, iteration: int) -> None:
        save_snapshot(self.directory, iteration, self._start, self._states())
        distance = self._distance(iteration - self._start)
        for other, path in snapshots(self.directory).items():
            if self._start < other < iteration and (other - self._start) % distance:
                path.unlink(missing_ok=True)

    def _states(self) -> dict[str, dict[str, Tensor]]:
        return {str(horizon): a.state_dict() for horizon, a in self._averages.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the averages and from which iteration on they count; nothing without any."""
        return {"start": self._start, "states": self._states()} if self._averages else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep a checkpoint's averages until the generator is where it belongs."""
        self._stored = state_dict
