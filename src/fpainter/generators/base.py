"""What training, scoring and drawing ask of any generator."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from fpainter.generators.painting import Painting


class Generator(nn.Module):
    """A network from latents z [B d_latent] ~ N(0, I) to images [B C H W] in the image range.

    Attributes:
        d_latent: size of the latent.
    """

    d_latent: int

    def fakes(self, z: Tensor) -> Tensor:
        """Return the images the discriminator must judge for z, [>=B C H W]; here, G(z)."""
        return self(z)


class PaintingGenerator(Generator, ABC):
    """A generator that can show how its images come about."""

    @abstractmethod
    def paint(self, z: Tensor) -> Painting:
        """Return the painting steps for z [B d_latent]."""

    @abstractmethod
    def activate(self, canvas: Tensor) -> Tensor:
        """Show a canvas or an update [...] in the image range, without refining it."""
