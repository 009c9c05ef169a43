"""The convolutions of networks whose gradient is trained, too."""

from torch import Tensor, nn

from fpainter.ops.convolution import conv2d


class Convolution(nn.Conv2d):
    """A convolution of torch, its second derivative as cheap as its first.

    Stride and padding (with zeros) are the same in both directions; there is no dilation.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map [B c_in H W] to [B c_out H' W']."""
        return conv2d(
            input, self.weight, self.bias, self.stride[0], int(self.padding[0]), self.groups
        )
