"""From latents to bytes: a generator in evaluation mode with its image range."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fpainter.generators.base import Generator, PaintingGenerator
from fpainter.nn.image_range import ImageRange


@dataclass(frozen=True)
class Sampler:
    """Draws finished images from a generator without tracking gradients.

    Attributes:
        generator: z [B d_latent] -> images [B C H W] in the image range.
        image_range: the range and its map to bytes.
        step: painting steps done before the image is taken, unrefined; None finishes it.
    """

    generator: Generator
    image_range: ImageRange
    step: int | None = None

    @property
    def d_latent(self) -> int:
        """Return the size of the latent."""
        return self.generator.d_latent

    def before_refiner(self) -> "Sampler | None":
        """Return a sampler of the images before they are refined; None if they are not."""
        generator = self.generator
        if isinstance(generator, PaintingGenerator) and generator.refines:
            return self.at_step(generator.num_steps)
        return None

    def at_step(self, step: int) -> "Sampler":
        """Return a sampler of the images as they stand after some painting steps."""
        return replace(self, step=step)

    def __call__(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Map latents to images uint8 [B C H W] on the generator's device.

        Args:
            z: latents [B d_latent], on any device.
            label: class indices [B] int64, on any device, if there are labels.
        """
        with evaluating(self.generator):
            like = next(self.generator.parameters())
            z = z.to(like)
            label = None if label is None else label.to(like.device)
            if self.step is None:
                return self.image_range.to_bytes(self.generator(z, label))
            assert isinstance(self.generator, PaintingGenerator)
            return self.image_range.to_bytes(self.generator.image_at(z, self.step, label))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode, without gradients, for a while.

    Args:
        module: its training mode is restored afterwards.
    """
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(was_training)
