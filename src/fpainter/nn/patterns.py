"""What is written for patterns along a side: pixels, amplitudes of cosines, or coarser pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fpainter.nn.activations import check_choice
from fpainter.nn.cosine import cosine_basis, cosines
from fpainter.nn.interpolation import interpolation_at, isometric_interpolation
from fpainter.nn.sizes import is_whole
from fpainter.ops.precision import full_precision


class Pixels(nn.Module):
    """Patterns are written pixel by pixel; the other bases say what they do instead.

    Args:
        image_size: (H, W).
        strokes: that are written together.

    Attributes:
        sizes: by axis, ``rows`` or ``columns``, how many numbers a pattern has in each stroke.
    """

    def __init__(self, image_size: Sequence[int], strokes: int = 1) -> None:
        super().__init__()
        self.sides = dict(zip(("rows", "columns"), image_size, strict=True))
        self.sizes = {axis: [side] * strokes for axis, side in self.sides.items()}

    def forward(self, written: Tensor, axis: str, places: Tensor | None = None) -> Tensor:
        """Turn what was written into patterns.

        Args:
            written: [... N * sum(sizes)], stroke after stroke, N patterns in each of the S.
            axis: along which they lie.
            places: where they are looked at [P], float64 in [0, 1]; None: at the pixels.

        Returns:
            [... S * N * side], or [... S * N * P], in the same order.
        """
        pixels = self.pixels(written, axis)
        if places is None:
            return pixels
        return combined(pixels, interpolation_at(places, self.sides[axis]).mT.to(written))

    def pixels(self, written: Tensor, axis: str) -> Tensor:
        """Turn what was written into pixels; arguments as for `forward`."""
        del axis
        return written

    def larger(self, new: int, old: int) -> Tensor:
        """Return the matrix [new old] that makes of the numbers of a pattern those of a finer one.

        What the pattern becomes has new / old times the inner products. float64.
        """
        return isometric_interpolation(new, old)


class Cosines(Pixels):
    """Amplitudes of cosines are written, which are added up.

    Args:
        image_size: (H, W).
        strokes: that are written together.
        decay: how fast the amplitudes fall with the frequency f, ``(1 + f)^-decay``.
    """

    def __init__(self, image_size: Sequence[int], strokes: int = 1, decay: float = 1.0) -> None:
        super().__init__(image_size, strokes)
        self.decay = decay
        for axis, side in self.sides.items():
            self.register_buffer(axis, cosine_basis(side, decay), persistent=False)

    def forward(self, written: Tensor, axis: str, places: Tensor | None = None) -> Tensor:
        """Turn amplitudes into patterns; see `Pixels.forward`."""
        if places is None:
            return combined(written, self.get_buffer(axis))
        return combined(written, cosines(self.sides[axis], places, self.decay).to(written))

    def larger(self, new: int, old: int) -> Tensor:
        """Return the matrix [new old] that puts zeros behind the amplitudes of low frequencies."""
        return torch.eye(new, old, dtype=torch.float64)


class Scales(Pixels):
    """The strokes take turns in how coarsely they are written, and are made smooth.

    A stroke that is written at s pixels is interpolated by `doubled`, so that its patterns keep
    their inner products, and those with patterns of other scales; a scale as large as the side, or
    larger, is that of pixels.

    Args:
        image_size: (H, W).
        strokes: times that all scales are gone through.
        scales: pixels of a side, one for each stroke.

    Raises:
        ValueError: if there is no scale, or one is not a whole number, at least 1.
    """

    def __init__(self, image_size: Sequence[int], strokes: int, scales: Sequence[int]) -> None:
        super().__init__(image_size)
        if not scales or not all(map(is_whole, scales)):
            raise ValueError(f"scales must be whole numbers, at least 1 each; got {scales}")
        for axis, side in self.sides.items():
            self.sizes[axis] = [min(scale, side) for scale in scales] * strokes
            for size in {*self.sizes[axis]}:
                matrix = doubled(side, size).mT.float()
                self.register_buffer(f"{axis}_{size}", matrix, persistent=False)

    def pixels(self, written: Tensor, axis: str) -> Tensor:
        """Interpolate what was written at each scale; arguments as for `Pixels.forward`."""
        sizes = self.sizes[axis]
        num = written.shape[-1] // sum(sizes)
        parts = zip(sizes, written.split([num * size for size in sizes], dim=-1), strict=True)
        made = [combined(part, self.get_buffer(f"{axis}_{size}")) for size, part in parts]
        return torch.cat(made, dim=-1)

    def larger(self, new: int, old: int) -> Tensor:
        """Return the matrix [new old] of `doubled`."""
        return doubled(new, old)


def basis(
    name: str,
    image_size: Sequence[int],
    strokes: int = 1,
    decay: float = 1.0,
    scales: Sequence[int] | None = None,
) -> Pixels:
    """Return a basis by its name: ``pixels``, ``cosine`` or ``scales``.

    Raises:
        ValueError: if there is none of that name, or scales are missing or of no use.
    """
    check_choice("basis", name, ("pixels", "cosine", "scales"))
    if scales is not None and name != "scales":
        raise ValueError(f"scales are of use with basis: scales; got basis: {name}")
    if name == "scales":
        return Scales(image_size, strokes, scales or ())
    return Cosines(image_size, strokes, decay) if name == "cosine" else Pixels(image_size, strokes)


@full_precision
def combined(coefficients: Tensor, patterns: Tensor) -> Tensor:
    """Add up patterns [S side] with coefficients [... N * S]; return [... N * side]."""
    return (coefficients.unflatten(-1, (-1, len(patterns))) @ patterns).flatten(-2)


def doubled(new: int, old: int) -> Tensor:
    """Return the matrix that interpolates by twos, and the rest at last.

    Each step is that of `isometric_interpolation`. So a pattern that is made larger in several
    steps is the same as in one, where all sides are one number times powers of two.

    Args:
        new: entries of the result, at least `old`.
        old: entries of the signal.

    Returns:
        [new old] float64; its transpose times itself is ``new / old`` times the identity.
    """
    matrix = torch.eye(old, dtype=torch.float64)
    while old < new:
        matrix = isometric_interpolation(min(2 * old, new), old) @ matrix
        old = len(matrix)
    return matrix
