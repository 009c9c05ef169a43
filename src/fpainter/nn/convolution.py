"""The convolutions of networks whose gradient is trained, too."""

from torch import Tensor, nn

from fpainter.ops.convolution import conv2d


class Convolution(nn.Conv2d):
    """A square convolution, its second derivative as cheap as its first.

    Args:
        c_in: channels in.
        c_out: channels out.
        size: side of the kernel.
        stride: in both directions.
        padding: zeros on each side.
        groups: of channels.
        bias: add one number per channel.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        size: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(c_in, c_out, size, stride, padding, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Map [B c_in H W] to [B c_out H' W']."""
        return conv2d(
            input, self.weight, self.bias, self.stride[0], int(self.padding[0]), self.groups
        )
