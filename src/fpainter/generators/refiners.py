"""What may follow the painting: networks that improve the finished canvas."""

from collections.abc import Sequence

from torch import Tensor, nn

from fpainter.generators.unet import UNet
from fpainter.nn.activations import ACTIVATIONS, check_choice
from fpainter.nn.sizes import as_size


class UNetRefiner(nn.Module):
    """A U-Net denoises the canvas in one step: ``W' = UNet(activation(W_T))``.

    The painter applies its output activation to the result.

    Args:
        image_size: side, or (H, W), each a multiple of 2^(L-1) for L multipliers.
        channels: colour channels C.
        width: channels of the U-Net's finest maps; None means the image's longer side.
        multipliers: the width of each of the U-Net's L stages over `width`.
        num_groups: groups of each group normalisation; must divide every width.
        input_activation: ``identity``: the U-Net reads the canvas; ``tanh``: it reads the image
            that a painter with a tanh output shows without it.
        detach_input: let no gradient through to the painter, which then learns from its unrefined
            images (`Supervision.before_refiner`) or not at all. The values stay the same.

    Raises:
        ValueError: if an option is unknown or the sizes do not fit.

    Source: Irie & Schmidhuber 2023, section 3.2, Eq. 10; ``unet_tanh`` and ``stop_grad_unet`` of
    the released code, which draws its U-Net painting strips without the former.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        channels: int = 3,
        width: int | None = None,
        multipliers: Sequence[int] = (1, 2, 4),
        num_groups: int = 8,
        input_activation: str = "identity",
        detach_input: bool = False,
    ) -> None:
        super().__init__()
        self.image_size = as_size(image_size)
        self.channels = channels
        self.unet = UNet(image_size, channels, width, multipliers, num_groups)
        self.input_activation = check_choice("input_activation", input_activation)
        self.detach_input = detach_input

    def forward(self, canvas: Tensor) -> Tensor:
        """Map a canvas [B C H W] to a refined one of the same shape."""
        if self.detach_input:
            canvas = canvas.detach()
        return self.unet(ACTIVATIONS[self.input_activation](canvas))
