"""Latents on disk: what was painted from, so that it can be painted again."""

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fpainter.errors import UserError, first_line

LARGEST = 1 << 28  # bytes of an array; a million latents of 64 numbers
MOST = 1_000_000  # latents in a file
TOP = 10**9  # images have smaller numbers
ARRAYS = ["z", "w", "numbers", "label", "truncation"]


@dataclass(frozen=True)
class StoredLatents:
    """Latents of numbered images.

    Attributes:
        numbers: of the images, N.
        latents: z [N d_latent] float32, or styles w, those of all layers side by side.
        styles: whether they are styles.
        labels: of the images [N] int64; None where nobody has said so.
        truncation: with which they were painted; None: as the generator was set.

    Raises:
        ValueError: if the parts do not fit together.
    """

    numbers: tuple[int, ...]
    latents: Tensor
    styles: bool = False
    labels: Tensor | None = None
    truncation: float | None = None

    def __post_init__(self) -> None:
        num, name = len(self.latents), "w" if self.styles else "z"
        if not num or not self.latents.isfinite().all():
            raise ValueError(f"{name} must hold at least one latent, all numbers finite")
        if len({*self.numbers}) != num or len(self.numbers) != num:
            raise ValueError(f"numbers must be a different one for each of the {num} latents")
        if not all(0 <= number < TOP for number in self.numbers):
            raise ValueError(f"numbers must be in 0..{TOP - 1}")
        if self.labels is not None and self.labels.shape != (num,):
            raise ValueError(f"label must be one for each of the {num} latents")
        if self.truncation is not None and not math.isfinite(self.truncation):
            raise ValueError("truncation must be a finite number")

    def places(self, numbers: Sequence[int]) -> list[int]:
        """Return where images are, by their numbers.

        Raises:
            ValueError: if one is not there.
        """
        known = {number: place for place, number in enumerate(self.numbers)}
        for number in numbers:
            if number not in known:
                shown = ", ".join(map(str, self.numbers[:10]))
                more = ", …" if len(known) > 10 else ""
                raise ValueError(f"the file of latents holds images {shown}{more}; got {number}")
        return [known[number] for number in numbers]


def write_latents(stored: StoredLatents, path: Path, shape: Sequence[int] = ()) -> None:
    """Write a ``.npz`` that `read_latents` reads.

    Its arrays are ``z`` [N d_latent], or ``w`` as StyleGAN's projector writes it, ``numbers`` [N]
    and, where they are known, ``label`` [N] and ``truncation`` [].

    Args:
        stored: the latents.
        path: the file.
        shape: of a latent, such as (L, d_style); by default it is flat.
    """
    latents = stored.latents.cpu()
    arrays = {
        "w" if stored.styles else "z": latents.view(len(latents), *(shape or (-1,))).numpy(),
        "numbers": np.array(stored.numbers),
    }
    if stored.labels is not None:
        arrays["label"] = stored.labels.cpu().numpy()
    if stored.truncation is not None:
        arrays["truncation"] = np.array(stored.truncation)
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_latents(path: Path, where: str) -> StoredLatents:
    """Read a ``.npz`` with ``z`` [N d] or ``w`` [N L d] (or flat), without running anything in it.

    Args:
        path: written by `write_latents`, or by a projector of StyleGAN's, which has ``w`` alone.
        where: the same, for messages.

    Raises:
        UserError: if it is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            found = [name for name in ARRAYS if name in members]
            arrays = {name: _array(archive, members[name]) for name in found}
        return _checked(arrays)
    except Exception as error:  # damage leads the readers to errors of nearly any type
        reason = first_line(error)[:300]
        raise UserError(
            f"{where}: not a file of latents ({reason}); generate writes one beside images: "
            "latents.npz"
        ) from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.file_size > LARGEST:
        raise ValueError(f"{info.filename} has {info.file_size} bytes")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed with another method than NumPy's")
    with archive.open(info) as member:  # whatever there is, only so many bytes are unpacked
        data = BytesIO(member.read(info.file_size))
    return np.lib.format.read_array(data, allow_pickle=False)


def _checked(arrays: dict[str, np.ndarray]) -> StoredLatents:
    """Return what arrays hold.

    Raises:
        ValueError: if that is not one kind of latents.
    """
    kinds = [name for name in ("z", "w") if name in arrays]
    found = arrays[kinds[0]] if len(kinds) == 1 else np.empty(0, int)
    if found.dtype.kind != "f" or found.ndim not in ((2, 3) if kinds == ["w"] else (2,)):
        raise ValueError("it needs either z [N d_latent] or w [N L d_style]")
    # An array without entries can be of any length, and take no bytes.
    if not found.size or len(found) > MOST:
        raise ValueError(f"it needs from 1 to {MOST:,} latents; got {found.shape}")
    numbers = arrays.get("numbers", np.arange(len(found)))
    label = arrays.get("label")
    for whole in (numbers, label):
        if whole is not None and (whole.dtype.kind not in "iu" or whole.ndim != 1):
            raise ValueError("numbers and label must be whole numbers [N]")
    truncation = arrays.get("truncation")
    return StoredLatents(
        tuple(numbers.tolist()),
        torch.from_numpy(found.astype(np.float32)).flatten(1),
        kinds == ["w"],
        None if label is None else torch.from_numpy(label.astype(np.int64)),
        None if truncation is None else float(truncation.item()),
    )
