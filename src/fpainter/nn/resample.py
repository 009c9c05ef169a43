"""Changing the resolution of feature maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.ops.convolution import conv2d, conv_transpose2d


class Blur(nn.Module):
    """Smooth each channel with the kernel [1 2 1] ⊗ [1 2 1] / 16, the border reflected."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", torch.outer(taps, taps) / 16, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Blur x [B C H W]; the size stays."""
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=channels)


class UpsampledConv(nn.Conv2d):
    """A 3×3 convolution of the map enlarged twofold by nearest neighbours.

    Of the nine pixels that an output pixel sees at most four differ, so this is a transposed
    convolution of stride 2, its 4×4 kernel the sum of the 3×3 kernel's four shifts by 0 or 1: the
    same result for 4/9 of the work, and the large map is never made.

    Args:
        c_in: channels in.
        c_out: channels out.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        """Map [B c_in H W] to [B c_out 2H 2W]."""
        # Transposed convolutions mirror their kernel and swap its channels.
        padded = F.pad(self.weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))  # [c_in c_out 5 5]
        kernel = F.avg_pool2d(padded, 2, stride=1, divisor_override=1)  # [c_in c_out 4 4]
        return F.conv_transpose2d(input, kernel, self.bias, stride=2, padding=1)


# The low-pass filter [1 3 3 1] along each axis, of StyleGAN2. Each function is exact at the border,
# where zeros follow, and has cheap second derivatives. Both of its axes at once, channel by
# channel, take less time on a CPU than two passes, and much less than folded into the kernel.
_TAPS = (1.0, 3.0, 3.0, 1.0)


def _filter(channels: int, total: float, like: Tensor) -> Tensor:
    """Return the filter, its sum `total`, for each channel: [C 1 4 4]."""
    taps = torch.tensor(_TAPS, dtype=like.dtype, device=like.device)
    return (torch.outer(taps, taps) * (total / 64)).expand(channels, 1, 4, 4)


def smooth_up(x: Tensor) -> Tensor:
    """Double maps x [B C H W] to [B C 2H 2W], filtered."""
    channels = x.shape[1]
    return conv_transpose2d(x, _filter(channels, 4.0, x), 2, 1, channels)


def smooth_down(x: Tensor) -> Tensor:
    """Filter and halve maps x [B C H W] to [B C H/2 W/2]."""
    channels = x.shape[1]
    return conv2d(x, _filter(channels, 1.0, x), None, 2, 1, channels)


def convolve_up(x: Tensor, weight: Tensor) -> Tensor:
    """Double maps, filter and convolve them: zeros between pixels, [1 3 3 1], the mirrored kernel.

    Convolution comes first, where it skips the zeros between pixels: the two commute.

    Args:
        x: [B c_in H W].
        weight: [c_out c_in 1 1] or [c_out c_in 3 3].

    Returns:
        [B c_out 2H 2W].
    """
    if weight.shape[-1] == 1:
        return smooth_up(conv2d(x, weight))
    channels = len(weight)
    doubled = conv_transpose2d(x, weight.transpose(0, 1), 2)  # [B c_out 2H+1 2W+1]
    return conv2d(doubled, _filter(channels, 4.0, x), None, 1, 1, channels)


def convolve_down(x: Tensor, weight: Tensor) -> Tensor:
    """Filter maps and convolve them with stride 2.

    Args:
        x: [B c_in H W].
        weight: [c_out c_in 1 1] or [c_out c_in 3 3].

    Returns:
        [B c_out H/2 W/2].
    """
    if weight.shape[-1] == 1:
        return conv2d(smooth_down(x), weight)
    channels = x.shape[1]
    filtered = conv2d(x, _filter(channels, 1.0, x), None, 1, 2, channels)  # [B c_in H+1 W+1]
    return conv2d(filtered, weight, None, 2)
