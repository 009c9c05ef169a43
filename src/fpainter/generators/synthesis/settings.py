"""How the layers of a synthesis network are made: modulation, noise, attention, merging."""

from dataclasses import dataclass

from fpainter.nn.activations import check_choice
from fpainter.nn.bipartite import BipartiteAttention, KMeans
from fpainter.nn.sizes import check_side

NOISES = ("random", "constant", "none")
MERGES = ("softmax", "sum", "max", "leaves")


@dataclass(frozen=True)
class Attention:
    """Attention to the local latents: of the maps in synthesis, of each other in the mapping.

    Attributes:
        num_heads: attention heads.
        integration: ``add``, ``mul`` or ``both``: what is attended shifts features or scales them.
        norm: of the features before: ``layer``, ``instance`` or None.
        positions: of pixels: ``sinusoidal``, ``linear`` or ``learned``.
        latent_positions: one learned vector for each latent, added to its key (and, among latents,
            to its query).
        gate_from: a gate for each receiver.
        gate_to: a gate for each latent.
        dropout: of attention, in training.
        kmeans_iterations: 0: latents have keys (simplex); n: they have centroids of pixels, which
            are computed anew n - 1 times in each layer (duplex).
        from_side: the smallest maps that attend, by their shorter side.
        to_side: the largest maps that attend.

    Raises:
        ValueError: if `kmeans_iterations` is negative. Layers check the rest.

    Source: Hudson & Zitnick 2021 (GANsformer).
    """

    num_heads: int = 1
    integration: str = "add"
    norm: str | None = None
    positions: str = "sinusoidal"
    latent_positions: bool = True
    gate_from: bool = False
    gate_to: bool = False
    dropout: float = 0.12
    kmeans_iterations: int = 0
    from_side: int = 4
    to_side: int = 128

    def __post_init__(self) -> None:
        if self.kmeans_iterations < 0:
            raise ValueError(f"kmeans_iterations must be 0 or more; got {self.kmeans_iterations}")

    def layer(self, d_from: int, d_to: int, d_position: int, num_to: int) -> BipartiteAttention:
        """Make a layer.

        Args:
            d_from: channels of the receivers.
            d_to: size of a latent.
            d_position: size of a position.
            num_to: latents.
        """
        kmeans = KMeans(num_to, self.kmeans_iterations)
        return BipartiteAttention(
            d_from,
            d_to,
            d_position,
            d_position if self.latent_positions else 0,
            self.num_heads,
            self.integration,
            self.norm,
            self.gate_from,
            self.gate_to,
            self.dropout,
            kmeans if self.kmeans_iterations else None,
        )


@dataclass(frozen=True)
class Layers:
    """What all layers of a synthesis network have in common.

    Attributes:
        modulated: the style scales the channels that a convolution reads, and its result is
            brought back to unit variance.
        epsilon_scaled: for vanishing norms, 1e-8 joins the squared norm of the weights as they are
            used (GANsformer) and not as they are stored (StyleGAN2).
        noise: ``random``: anew for each image in training, one constant map for each layer in
            evaluation, so that a latent stands for one image; ``constant``: those maps in training,
            too; ``none``.
        clamp: bound on the magnitude of features, for half precision; None for none.
        attention: to the local latents; None without.
        self_attention_at: the nominal side of the maps whose pixels attend to each other, a power
            of two; None for none, as where no map is as large.

    Raises:
        ValueError: if an option is unknown or out of range.
    """

    modulated: bool = True
    epsilon_scaled: bool = False
    noise: str = "random"
    clamp: float | None = None
    attention: Attention | None = None
    self_attention_at: int | None = None

    def __post_init__(self) -> None:
        check_choice("noise", self.noise, NOISES)
        check_side("self_attention_at", self.self_attention_at)


@dataclass(frozen=True)
class Merge:
    """How the maps of several generators with the same weights become one (k-GAN).

    Attributes:
        kind: see `fpainter.generators.synthesis.merging.Merging`.
        at: the nominal side of the maps that are merged; None, or a side that is not smaller than
            the image's, merges images.

    Raises:
        ValueError: if the kind is unknown.
    """

    kind: str = "softmax"
    at: int | None = 32

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, MERGES)
