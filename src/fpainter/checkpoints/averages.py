"""Averages that a run has stored, and those of other horizons made of them.

A checkpoint holds the averages at its iteration, the folder ``averages`` of the run directory
those at earlier ones: ``<iteration>.safetensors`` with tensors named ``<horizon>/<name>``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fpainter.errors import UserError
from fpainter.files import replacing
from fpainter.nn.sizes import first_misfit
from fpainter.training.post_hoc import Combination, Profile, combine, power

STATE = "PowerAverages"  # the name of the callback's state in a checkpoint
LARGEST_MISFIT = 0.1  # beyond this, the combination is another average than the one asked for
SEARCHED = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)  # horizons that a search tries

States = Mapping[str, Mapping[str, Tensor]]  # horizon -> name -> tensor


def snapshots(folder: Path) -> dict[int, Path]:
    """Return the snapshots in a folder by their iterations, the earliest first."""
    found = {int(path.stem): path for path in folder.glob("*.safetensors") if path.stem.isdecimal()}
    return dict(sorted(found.items()))


def save_snapshot(folder: Path, iteration: int, start: int, states: States) -> None:
    """Write the averages at an iteration, whole or not at all.

    Args:
        folder: the run's ``averages``; made if need be.
        iteration: iterations done.
        start: iterations done before the first that is averaged.
        states: the averages.

    Raises:
        UserError: if the disk refuses.
    """
    tensors = {
        f"{horizon}/{name}": tensor.cpu().contiguous()
        for horizon, state in states.items()
        for name, tensor in state.items()
    }
    path = folder / f"{iteration:07d}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"start": str(start)})
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot save {path}: {error}") from error


@dataclass(frozen=True)
class _Source:
    """A stored average, in a snapshot or, where there is no path, in the checkpoint."""

    horizon: str
    profile: Profile
    path: Path | None = None

    @classmethod
    def of(cls, horizon: str, length: int, path: Path | None = None) -> "_Source":
        power(float(horizon))  # whether it is one
        return cls(horizon, Profile(float(horizon), length), path)


class StoredAverages:
    """What a run has stored up to a checkpoint.

    Snapshots count that lie before the checkpoint, began where its averages did and have the
    shapes of its weights; others belong to another stage of training or to another run.

    Args:
        checkpoint: from `fpainter.checkpoints.inference.read_checkpoint`.
        path: its file, in the folder ``checkpoints`` of its run directory.
        where: the same, for messages.

    Raises:
        UserError: if the run kept no averages, or they are damaged.
    """

    def __init__(self, checkpoint: dict[str, Any], path: Path, where: str) -> None:
        self.folder = path.resolve().parent.parent / "averages"
        self.where = where
        stored = checkpoint.get("callbacks", {}).get(STATE)
        if stored is None:
            raise UserError(
                f"{where}: its run kept no averages to choose a horizon from; "
                "callbacks.averages.enabled=true keeps them while training"
            )
        try:
            start = stored["start"]
            self._length = checkpoint["iteration"] - start
            self._states: States = stored["states"]
            self._newest = next(iter(self._states.values()))
            self._sources = [_Source.of(horizon, self._length) for horizon in self._states]
            if self._length < 1 or any(
                first_misfit(self._newest, state) for state in self._states.values()
            ):
                raise ValueError("they do not fit together")
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
            raise UserError(f"{where}: its averages are damaged ({error!r})") from error
        for iteration, file in snapshots(self.folder).items():
            if start < iteration < checkpoint["iteration"]:
                self._sources += self._of_snapshot(file, start, iteration - start)

    def _of_snapshot(self, path: Path, start: int, length: int) -> list[_Source]:
        """Return the averages in a snapshot; none if it does not belong to the checkpoint's."""
        with _opened(path) as file:
            if (file.metadata() or {}).get("start") != str(start):
                return []
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            horizons = dict.fromkeys(name.partition("/")[0] for name in shapes)
            expected = {
                f"{horizon}/{name}": list(tensor.shape)
                for horizon in horizons
                for name, tensor in self._newest.items()
            }
            return [_Source.of(h, length, path) for h in horizons] if shapes == expected else []

    def combination(self, horizon: float) -> Combination:
        """Return how the average of a horizon is made of those that are stored."""
        return combine([s.profile for s in self._sources], Profile(horizon, self._length))

    def within_reach(self) -> list[float]:
        """Return the horizons of a search that the stored averages suffice for."""
        return [h for h in SEARCHED if self.combination(h).misfit <= LARGEST_MISFIT]

    def average(self, horizon: float) -> dict[str, Tensor]:
        """Return the average of a horizon at the checkpoint's iteration.

        Floating tensors are combined in float64; others are those of the checkpoint.

        Args:
            horizon: relative to the iterations averaged, in (0, 0.2886].

        Raises:
            UserError: if what is stored does not suffice, or cannot be read.
        """
        weights, misfit = self.combination(horizon)
        if misfit > LARGEST_MISFIT:
            lengths = {source.profile.length for source in self._sources}
            raise UserError(
                f"{self.where}: the averages at {len(lengths)} iterations, which the checkpoint "
                f"and {self.folder} hold, do not suffice for the horizon {horizon}: they miss its "
                f"profile by {misfit:.0%}. Horizons near {', '.join(self._states)} need the fewest"
            )
        total = {
            name: torch.zeros_like(t, dtype=torch.float64) if t.is_floating_point() else t
            for name, t in self._newest.items()
        }
        for weight, source in zip(weights.tolist(), self._sources, strict=True):
            for name, tensor in self._read(source).items():
                if tensor.is_floating_point():
                    total[name].add_(tensor.double(), alpha=weight)
        return {name: tensor.to(self._newest[name].dtype) for name, tensor in total.items()}

    def _read(self, source: _Source) -> Mapping[str, Tensor]:
        if source.path is None:
            return self._states[source.horizon]
        with _opened(source.path) as file:
            return {name: file.get_tensor(f"{source.horizon}/{name}") for name in self._newest}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a snapshot; say what is wrong with it if it cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(
            f"{path}: not a readable snapshot of averages ({error}); the others may do without it"
        ) from error
