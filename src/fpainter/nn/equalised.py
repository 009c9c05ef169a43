"""Layers with equalised learning rates: weights of unit variance, scaled where they are used.

A weight is drawn from N(0, 1) / lr_multiplier and used times ``lr_multiplier / sqrt(fan_in)``, a
bias times ``lr_multiplier``; so Adam, whose steps know no scale, changes all layers alike.

Source: Karras et al. 2018; as in StyleGAN2 (Karras et al. 2020).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.nn.activations import check_choice
from fpainter.nn.resample import convolve_down, convolve_up
from fpainter.ops.convolution import conv2d

SLOPE = 0.2  # of every leaky ReLU
# How the blocks of StyleGAN2's networks are joined: images of every size added, shortcuts, neither.
ARCHITECTURES = ("skip", "resnet", "orig")


def unit_rms(x: Tensor, dim: int | tuple[int, ...] = -1) -> Tensor:
    """Divide x by its root mean square over some axes."""
    return x * (x.square().mean(dim=dim, keepdim=True) + 1e-8).rsqrt()


def leaky(x: Tensor, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """Apply a leaky ReLU that keeps the variance, ``sqrt(2) gain lrelu(x)``.

    Args:
        x: [...].
        gain: factor on the result.
        clamp: bound on the result's magnitude, before `gain`; None for none.
    """
    return clamped(F.leaky_relu(x, SLOPE) * (2**0.5 * gain), gain, clamp)


def clamped(x: Tensor, gain: float, clamp: float | None) -> Tensor:
    """Bound the magnitude of x by `clamp` times `gain`; None leaves it."""
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


class EqualisedLinear(nn.Module):
    """A linear layer with an equalised learning rate.

    Args:
        d_in: size of the input.
        d_out: size of the output.
        activated: a leaky ReLU follows.
        lr_multiplier: factor on the learning rate.
        bias: where the bias starts.
        gain: factor on the weights.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        activated: bool = False,
        lr_multiplier: float = 1.0,
        bias: float = 0.0,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.activated = activated
        self.lr_multiplier = lr_multiplier
        self.scale = gain * lr_multiplier / d_in**0.5
        self.weight = nn.Parameter(torch.randn(d_out, d_in) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((d_out,), bias / lr_multiplier))

    def matrix(self) -> Tensor:
        """Return the weights as they are used, [d_out d_in]."""
        return self.weight * self.scale

    def offset(self) -> Tensor:
        """Return the bias as it is used, [d_out]."""
        return self.bias * self.lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """Map [... d_in] to [... d_out]."""
        x = F.linear(x, self.matrix(), self.offset())
        return leaky(x) if self.activated else x


class LabelEmbedding(EqualisedLinear):
    """A learned vector of root mean square one for each class.

    Args:
        num_labels: classes.
        d_out: size of a vector.
    """

    def __init__(self, num_labels: int, d_out: int) -> None:
        super().__init__(num_labels, d_out)
        self.num_labels = num_labels

    def forward(self, label: Tensor) -> Tensor:
        """Map class indices [B] int64 to [B d_out]."""
        return unit_rms(super().forward(F.one_hot(label, self.num_labels).to(self.weight)))


class EqualisedConvolution(nn.Module):
    """A convolution with an equalised learning rate, which may double or halve the map.

    Args:
        c_in: channels in.
        c_out: channels out.
        kernel: side of the kernel, 1 or 3.
        resample: ``up``, ``down`` or ``same``; with the filter [1 3 3 1].
        activated: a bias and a leaky ReLU follow; else neither does.
        clamp: bound on the result's magnitude; None for none.

    Raises:
        ValueError: if an option is unknown.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        resample: str = "same",
        activated: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resample = check_choice("resample", resample, ("up", "down", "same"))
        self.clamp = clamp
        self.scale = (c_in * kernel**2) ** -0.5
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(c_out)) if activated else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Map [B c_in H W] to [B c_out H' W'], times a gain."""
        weight = self.weight * self.scale
        if self.bias is None:
            return clamped(self.convolve(x, weight * gain), gain, self.clamp)
        x = self.convolve(x, weight) + self.bias[:, None, None]
        return leaky(x, gain, self.clamp)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve and resample x [B c_in H W]."""
        return resampled(x, weight, self.resample)


def resampled(x: Tensor, weight: Tensor, resample: str) -> Tensor:
    """Convolve maps x [B c_in H W], doubled (``up``), halved (``down``) or as they are (``same``).

    Args:
        x: maps.
        weight: [c_out c_in k k], k 1 or 3.
        resample: what happens to the size.

    Returns:
        [B c_out H' W'].
    """
    if resample == "up":
        return convolve_up(x, weight)
    if resample == "down":
        return convolve_down(x, weight)
    return conv2d(x, weight, padding=weight.shape[-1] // 2)
