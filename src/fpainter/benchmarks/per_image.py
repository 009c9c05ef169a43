"""StyleGAN2 computed the way its reference does: weights for each image, and plain operations.

The same weights give the same numbers: a convolution of as many groups as there are images, each
with modulated weights of its own; zeros put between the pixels of an image before it is filtered;
torch's own second derivatives. Source: the CPU code of StyleGAN2-ADA (Karras et al. 2020), its
fused ``modulated_conv2d``, ``conv2d_resample`` and ``upfirdn2d``.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.generators.synthesis.layers import StyledConvolution
from fpainter.generators.synthesis.network import SynthesisBlock
from fpainter.nn.equalised import EqualisedConvolution
from fpainter.training.gan_module import GANModule


def filtered(x: Tensor, gain: float) -> Tensor:
    """Filter maps x [B C H W] with [1 3 3 1] along both axes, times a gain, to [B C H-3 W-3]."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = (torch.outer(taps, taps) * gain / 64).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, groups=x.shape[1])


def zero_inserted(x: Tensor) -> Tensor:
    """Double maps x [B C H W]: zeros between pixels, then the filter."""
    spread = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    spread[..., ::2, ::2] = x
    return filtered(F.pad(spread, (2, 1, 2, 1)), 4.0)


def convolved(x: Tensor, weight: Tensor, resample: str, groups: int = 1) -> Tensor:
    """Convolve maps x [B N·c_in H W], doubled, halved or as they are.

    Args:
        x: maps of N groups.
        weight: [N·c_out c_in k k], k 1 or 3.
        resample: ``up``, ``down`` or ``same``.
        groups: N.
    """
    size = weight.shape[-1]
    if resample == "up" and size == 1:
        return F.conv2d(zero_inserted(x), weight, groups=groups)
    if resample == "up":
        turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
        doubled = F.conv_transpose2d(x, turned, stride=2, groups=groups)
        return filtered(F.pad(doubled, (1, 1, 1, 1)), 4.0)
    if resample == "down" and size == 1:
        return F.conv2d(filtered(F.pad(x, (1, 1, 1, 1)), 1.0)[..., ::2, ::2], weight)
    if resample == "down":
        return F.conv2d(filtered(F.pad(x, (2, 2, 2, 2)), 1.0), weight, stride=2)
    return F.conv2d(x, weight, padding=size // 2, groups=groups)


class PerImageConvolution(StyledConvolution):
    """The convolution with weights for each image."""

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map x [B c_in H W] under a style [B d_w] to [B c_out H' W']."""
        weight = self.weight * self.scale
        if self.to_scale is None:
            return convolved(x, weight, self.resample)
        weights = weight * self.to_scale(style)[:, None, :, None, None]  # [B c_out c_in k k]
        if self.demodulate:
            power = weights.square().sum(dim=(2, 3, 4), keepdim=True)
            weights = weights * (power + self.epsilon).rsqrt()
        joined = x.reshape(1, -1, *x.shape[2:])
        result = convolved(joined, weights.flatten(0, 1), self.resample, len(x))
        return result.view(len(x), -1, *result.shape[2:])


class PlainConvolution(EqualisedConvolution):
    """The convolution of the discriminator and of shortcuts."""

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve and resample x [B c_in H W]."""
        return convolved(x, weight, self.resample)


class PlainBlock(SynthesisBlock):
    """The block, its image so far doubled with zeros."""

    def enlarged(self, image: Tensor) -> Tensor:
        """Double an image [B C H W], filtered."""
        return zero_inserted(image)


# Classes that differ from ours in one method alone.
PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    StyledConvolution: PerImageConvolution,
    EqualisedConvolution: PlainConvolution,
    SynthesisBlock: PlainBlock,
}


def per_image(module: GANModule) -> GANModule:
    """Copy a module; the parts of the copy compute as the reference does.

    Raises:
        ValueError: if its generator is not of StyleGAN2's kind.
    """
    if not isinstance(module.generator, SynthesisGenerator):
        raise ValueError(
            "it is written for StyleGAN2 and what grew from it, such as model=stylegan2"
        )
    copied = copy.deepcopy(module)
    for part in copied.modules():
        part.__class__ = PLAIN.get(type(part), type(part))
    return copied
