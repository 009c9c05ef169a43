"""A generator whose latents are styles, such as those that projection finds."""

from torch import Tensor

from fpainter.generators.base import Generator
from fpainter.generators.synthesis.generator import SynthesisGenerator


class FromStyles(Generator):
    """Paint what styles order, without the mapping network: what StyleGAN's users call W+.

    The latent is a style for each layer, flattened, ``d_latent = L d_style``. It has a label in it
    already where there are labels, so that none is taken.

    Args:
        generator: with a mapping network.
        truncation: psi, as for `SynthesisGenerator`; 1 paints styles as they are.

    Source: Abdal et al. 2019 (Image2StyleGAN).
    """

    def __init__(self, generator: SynthesisGenerator, truncation: float = 1.0) -> None:
        super().__init__()
        self.generator = generator
        self.truncation = truncation
        self.d_style = generator.mapping_network.num_latents * generator.mapping_network.d_w
        self.d_latent = generator.num_styles * self.d_style

    def styles(self, w: Tensor) -> Tensor:
        """Return styles [B L d_style] of flat ones [B L·d_style], truncated."""
        return self.generator.truncate(w.unflatten(1, (-1, self.d_style)), self.truncation)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Paint images [B C H W] under flat styles z [B L·d_style]; the label is not read."""
        return self.generator.synthesis(self.styles(z))
