"""The Fast Weight Painter: its parts in the order in which a latent becomes an image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fpainter.generators.base import PaintingGenerator
from fpainter.generators.canvas import ZeroCanvas
from fpainter.generators.painting import Painting
from fpainter.nn.activations import ACTIVATIONS, check_activation
from fpainter.nn.sizes import as_size


class FastWeightPainter(PaintingGenerator):
    """A slow net orders T rank-1 updates of a weight matrix per channel; they are the image.

    ``x = input_generator(z)``, ``h = sequence_processor(x, z)``, ``(k, v, beta) = head(h)``,
    ``(u, p) = learning_rule(k, v, beta)``, ``image = activation(refiner(W_0 + sum_t u_t p_t^T))``.

    Args:
        num_steps: painting steps T; bounds the rank of each channel.
        d_latent: size of z ~ N(0, I).
        d_hidden: size of the hidden state between processor and head.
        image_size: side, or (H, W).
        channels: colour channels C.
        input_generator: z [B d_latent] -> x [B T d_input].
        sequence_processor: x, z -> h [B T d_hidden].
        head: h -> instructions (key, value, rate).
        learning_rule: instructions, canvas -> factors.
        canvas: number of images -> W_0 [B C H W] or None; default an empty canvas.
        refiner: [B C H W] -> [B C H W]; default none.
        output_activation: ``tanh`` (the paper) or ``identity``.
        judge_before_refiner: show the discriminator each image twice, unrefined and refined, so
            that the painter keeps learning to paint while a refiner learns with it.

    Raises:
        ValueError: if two parts disagree about a size, or `judge_before_refiner` finds no refiner.

    Source: Irie & Schmidhuber 2023, sections 3.1 and 3.2, Eqs. 4 to 10; appendix C.1 for
    `judge_before_refiner`.
    """

    def __init__(
        self,
        num_steps: int,
        d_latent: int,
        d_hidden: int,
        image_size: int | Sequence[int],
        channels: int,
        input_generator: nn.Module,
        sequence_processor: nn.Module,
        head: nn.Module,
        learning_rule: nn.Module,
        canvas: nn.Module | None = None,
        refiner: nn.Module | None = None,
        output_activation: str = "tanh",
        judge_before_refiner: bool = False,
    ) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.d_latent = d_latent
        self.image_size = as_size(image_size)
        self.channels = channels
        self.input_generator = input_generator
        self.sequence_processor = sequence_processor
        self.head = head
        self.learning_rule = learning_rule
        self.canvas = canvas or ZeroCanvas()
        self.refiner = refiner or nn.Identity()
        self.output_activation = check_activation("output_activation", output_activation)
        self.judge_before_refiner = judge_before_refiner
        if judge_before_refiner and isinstance(self.refiner, nn.Identity):
            raise ValueError("judge_before_refiner is true, which needs a refiner; got none")
        for part, size, expected in [
            ("input_generator", "num_steps", num_steps),
            ("input_generator", "d_latent", d_latent),
            ("sequence_processor", "d_input", input_generator.d_input),
            ("sequence_processor", "d_hidden", d_hidden),
            ("head", "d_hidden", d_hidden),
            ("head", "image_size", self.image_size),
            ("head", "channels", channels),
        ]:
            got = getattr(getattr(self, part), size)
            if got != expected:
                raise ValueError(f"{part}.{size} is {got}, but the painter needs {expected}")

    def paint(self, z: Tensor) -> Painting:
        """Paint the images of z [B d_latent] and keep every step."""
        x = self.input_generator(z)
        h = self.sequence_processor(x, z)
        instructions = self.head(h)
        canvas = self.canvas(len(z))
        rows, cols = self.learning_rule(instructions, canvas)
        return Painting(rows, cols, canvas, instructions)

    def activate(self, canvas: Tensor) -> Tensor:
        """Apply the output activation to a canvas or an update of any shape."""
        return ACTIVATIONS[self.output_activation](canvas)

    def finish(self, canvas: Tensor) -> Tensor:
        """Refine a canvas [B C H W] and apply the output activation."""
        return self.activate(self.refiner(canvas))

    def forward(self, z: Tensor) -> Tensor:
        """Map latents z [B d_latent] to images [B C H W]."""
        return self.finish(self._canvas(z))

    def fakes(self, z: Tensor) -> Tensor:
        """Return the images to judge: G(z) [B C H W]; with `judge_before_refiner` [2B C H W].

        The first half is then ``activate(paint(z).image())``, before the refiner.
        """
        if not self.judge_before_refiner:
            return self(z)
        canvas = self._canvas(z)
        return torch.cat([self.activate(canvas), self.finish(canvas)])

    def _canvas(self, z: Tensor) -> Tensor:
        """Return the finished canvas W_T [B C H W] in the type of z."""
        # Painting is done in float32; pure half-precision networks want their own type back.
        return self.paint(z).image().to(z.dtype)
