"""From hidden states to painting instructions: key, value and rate (the paper's Eq. 8)."""

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from fpainter.generators.painting import Instructions
from fpainter.nn.activations import ACTIVATIONS, check_choice
from fpainter.nn.cosine import cosine_basis, from_cosines
from fpainter.nn.init import uniform_
from fpainter.nn.interpolation import isometric_interpolation, linear_interpolation
from fpainter.nn.linear import Linear
from fpainter.nn.sizes import as_size

# By which power of the ratio of sizes an activation changes interpolated vectors; others do not.
CHANGES = {"softmax": -1.0, "unit": -0.5}


class InstructionHead(nn.Module):
    """One linear layer writes key, value and rate of every channel for each step.

    Its weights and biases start from U(-b, b) with ``b = gain / sqrt(C (H + W + 1))``.

    Args:
        d_hidden: size of the hidden state.
        image_size: side, or (H, W): values have H entries, keys W.
        channels: colour channels C.
        rate: ``scalar`` (one per step and channel), ``row`` (one per image row), or ``none``:
            all rates are one and the layer has no outputs for them.
        key_activation: the paper's phi; ``softmax`` makes keys positive with sum one.
        value_activation: ``identity`` or ``tanh``.
        rate_activation: ``sigmoid`` keeps rates in (0, 1); ``identity`` leaves them free.
        basis: what the linear layer writes for keys and values: ``pixels``, or amplitudes of a
            ``cosine`` of each frequency, which are added up before the activation. Neighbouring
            pixels then learn together, and patterns are smooth from the first step on.
        decay: how fast the cosines' amplitudes fall with the frequency, ``(1 + f)^-decay``.
        strokes: painting steps that are written at each step of the slow net, one after the other.
        d_wide: size of a ReLU layer in between; None means none.
        gain: factor on the initial bound.
        key_scale: factor on the activated keys; growing sets it.
        value_scale: factor on the activated values; growing sets it.

    Raises:
        ValueError: if an option is unknown.

    Source: Irie & Schmidhuber 2023, Eq. 8 (which shows no bias; the released code has one).
    """

    def __init__(
        self,
        d_hidden: int,
        image_size: int | Sequence[int],
        channels: int = 3,
        rate: str = "scalar",
        key_activation: str = "softmax",
        value_activation: str = "identity",
        rate_activation: str = "sigmoid",
        basis: str = "pixels",
        decay: float = 1.0,
        strokes: int = 1,
        d_wide: int | None = None,
        gain: float = 1.0,
        key_scale: float = 1.0,
        value_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.d_hidden = d_hidden
        self.image_size = height, width = as_size(image_size)
        self.channels = channels
        self.key_activation = check_choice("key_activation", key_activation)
        self.value_activation = check_choice("value_activation", value_activation)
        self.rate_activation = check_choice("rate_activation", rate_activation)
        self.basis = check_choice("basis", basis, ("pixels", "cosine"))
        self.rows: Tensor
        self.cols: Tensor
        if basis == "cosine":
            self.register_buffer("rows", cosine_basis(height, decay), persistent=False)
            self.register_buffer("cols", cosine_basis(width, decay), persistent=False)
        self.key_scale = key_scale
        self.value_scale = value_scale
        d_rates = {"scalar": 1, "row": height, "none": 0}
        self.rate = check_choice("rate", rate, d_rates)
        if strokes < 1:
            raise ValueError(f"strokes must be at least 1; got {strokes}")
        self.strokes = strokes
        self.sizes = [strokes * channels * side for side in (width, height, d_rates[rate])]
        self.widen = (
            nn.Sequential(nn.Linear(d_hidden, d_wide), nn.ReLU()) if d_wide else nn.Identity()
        )
        self.to_instructions = Linear(d_wide or d_hidden, sum(self.sizes))
        uniform_(self.to_instructions, fan=channels * (height + width + 1), gain=gain)

    def forward(self, h: Tensor) -> Instructions:
        """Map hidden states h [B T/strokes d_hidden] to key, value and rate [B C T *]."""
        return self.read(self.write(h))

    def write(self, h: Tensor) -> Tensor:
        """Map hidden states h [B T/strokes d_hidden] to numbers [B T/strokes sum(sizes)]."""
        return self.to_instructions(self.widen(h))

    def read(self, written: Tensor) -> Instructions:
        """Shape and activate what was written as key, value and rate [B C T *]."""
        key, value, rate = (
            rearrange(part, "b t (s c d) -> b c (t s) d", s=self.strokes, c=self.channels)
            for part in written.split(self.sizes, dim=-1)
        )
        if self.basis == "cosine":
            key, value = from_cosines(key, self.cols), from_cosines(value, self.rows)
        if rate.shape[-1] == 0:
            rate = torch.ones_like(value[..., :1])
        else:
            rate = ACTIVATIONS[self.rate_activation](rate)
        return Instructions(
            key=_scaled(ACTIVATIONS[self.key_activation](key), self.key_scale),
            value=_scaled(ACTIVATIONS[self.value_activation](value), self.value_scale),
            rate=rate,
        )

    def grown_from(
        self, old: "InstructionHead", state: Mapping[str, Tensor]
    ) -> dict[str, str | Tensor | None]:
        """Return the last layer of a head for smaller images, its patterns interpolated.

        Keys and values keep their inner products, up to `grown_scales`: pixels are interpolated,
        cosines sampled more finely, with those of higher frequencies at zero. Rates of rows are
        interpolated linearly. The pictures are the same, exactly where no activation comes between
        (a key of unit norm is none), nearly for softmax keys: of a painter of cats at 32×32, grown
        to 64×64 and averaged down, they differed by 1 %, and by 5 % with keys interpolated
        linearly. See `fpainter.generators.growing`.
        """
        if self.image_size == old.image_size:
            return {}
        if (self.rate, self.basis, self.strokes) != (old.rate, old.basis, old.strokes):
            return {}
        (height, width), (old_height, old_width) = self.image_size, old.image_size
        by_row = (height, old_height) if self.rate == "row" else (1, 1)
        larger = _more_frequencies if self.basis == "cosine" else isometric_interpolation
        maps = (
            larger(width, old_width),
            larger(height, old_height),
            linear_interpolation(*by_row),
        )

        def grown(rows: Tensor) -> Tensor:
            parts = zip(maps, rows.double().split(old.sizes), strict=True)
            return torch.cat(
                [
                    torch.einsum(
                        "ij,nj...->ni...", m, p.reshape(-1, m.shape[1], *p.shape[1:])
                    ).flatten(0, 1)
                    for m, p in parts
                ]
            )

        names = ("to_instructions.weight", "to_instructions.bias")
        return {name: grown(state[name]) for name in names}

    def grown_scales(self, key_factor: float, height: float, width: float) -> dict[str, float]:
        """Return the scales of this head when it is grown.

        Args:
            key_factor: by which the learning rule wants interpolated keys multiplied; values by
                its inverse.
            height: the new height over the old one.
            width: the same of widths.
        """
        key_change = width ** CHANGES.get(self.key_activation, 0.0)
        value_change = height ** CHANGES.get(self.value_activation, 0.0)
        return {
            "key_scale": self.key_scale * key_factor / key_change,
            "value_scale": self.value_scale / key_factor / value_change,
        }


def _more_frequencies(new: int, old: int) -> Tensor:
    """Return the matrix [new old] that puts zeros behind the amplitudes of lower frequencies."""
    return torch.eye(new, old, dtype=torch.float64)


def _scaled(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1 else x * scale
