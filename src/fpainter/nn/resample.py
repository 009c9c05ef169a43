"""Changing the resolution of feature maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
