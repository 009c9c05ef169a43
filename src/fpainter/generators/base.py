"""What training, scoring and drawing ask of any generator."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from fpainter.generators.painting import Painting


class Generator(Protocol):
    """A network from latents to images, both in the module's image range."""

    d_latent: int

    def __call__(self, z: Tensor) -> Tensor:
        """Map latents z [B d_latent] ~ N(0, I) to images [B C H W]."""
        ...

    def fakes(self, z: Tensor) -> Tensor:
        """Return the images the discriminator must judge for z, [>=B C H W]."""
        ...


@runtime_checkable
class Paints(Protocol):
    """A generator that can show how its images come about."""

    d_latent: int

    def paint(self, z: Tensor) -> Painting:
        """Return the painting steps for z [B d_latent]."""
        ...

    def activate(self, canvas: Tensor) -> Tensor:
        """Show a canvas or an update [...] in the image range, without refining it."""
        ...
