"""The path length penalty: images change as much for every step of their styles."""

import torch
from torch import Tensor

from fpainter.nn.derivatives import differentiable
from fpainter.nn.noise import own_rows
from fpainter.training.exchange import average
from fpainter.training.judging import Reals, in_float32
from fpainter.training.phases import Game, Phase, Terms


class PathLengthPhase(Phase):
    """Keep the lengths of paths near their mean, as a step of the generator.

    The length of an image's path is how far the styles w of its L layers move it along random
    pixels y ~ N(0, I) / sqrt(H W):

        a = sqrt(mean_l ‖∇_{w_l} ⟨G(w), y⟩‖²),   weight every · mean (a - m)²,

    with m the running mean of a, this batch's share of it included and differentiated. It is moved
    for each micro-batch.

    Args:
        weight: of the penalty, as if applied at every iteration.
        every: interval; the penalty is multiplied by it, so that the mean strength stays.
        batch_shrink: one of so many images of a batch is enough.
        decay: share of this batch in the running mean.

    Attributes:
        mean: running mean of lengths m, a scalar.

    Raises:
        ValueError: if a number is out of range.

    Source: Karras et al. 2020 (StyleGAN2), its ``pl_weight``, ``G_reg_interval``,
    ``pl_batch_shrink``, ``pl_decay``; where m is each process's own, here it is that of all.
    """

    player = "generator"
    mean: Tensor

    def __init__(
        self, weight: float = 2.0, every: int = 4, batch_shrink: int = 2, decay: float = 0.01
    ) -> None:
        super().__init__()
        if every < 1 or batch_shrink < 1:
            raise ValueError(
                f"every and batch_shrink must be at least 1; got {every} and {batch_shrink}"
            )
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be in (0, 1]; got {decay}")
        self.weight = weight
        self.every = every
        self.batch_shrink = batch_shrink
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))

    def interval(self, game: Game) -> int:
        """Return `every`."""
        return self.every

    def num_latents(self, game: Game, num_reals: int) -> int:
        """Return the size of the part of the batch that is penalised, at least 1."""
        return max(num_reals // self.batch_shrink, 1)

    def terms(self, game: Game, reals: Reals, z: Tensor) -> Terms:
        """Return the penalty for latents z [B d_latent], computed in float32 or better."""
        label = None if reals.label is None else reals.label[: len(z)]
        with in_float32(z.device, True), differentiable(game.generator):
            lengths = self.lengths(*game.generator.traced(z, label))
            mean = self.mean.lerp(self._mean(lengths), self.decay)
            self.mean.copy_(torch.where(mean.isfinite(), mean, self.mean).detach())
            penalty = self.every * self.weight * (lengths - mean).square().mean()
        return Terms({"path_length_penalty": penalty}, shown={"path_length": mean.detach()})

    def lengths(self, images: Tensor, w: Tensor) -> Tensor:
        """Return the lengths [B] of the paths of images [B C H W] by their styles w [B L d]."""
        total = (images * self.draw_directions(images)).sum()
        (gradient,) = torch.autograd.grad(total, w, create_graph=True)
        return gradient.square().sum(dim=2).mean(dim=1).sqrt()

    def draw_directions(self, images: Tensor) -> Tensor:
        """Draw random pixels like images [B C H W], of squared norm C on average."""
        size = images.shape[1:]
        noise = own_rows(lambda n: torch.randn(n, *size, device=images.device), len(images))
        return noise.to(images) * (size[1] * size[2]) ** -0.5

    def _mean(self, lengths: Tensor) -> Tensor:
        """Return the mean over all processes; its gradient is that of the own mean."""
        own = lengths.mean()
        return own + (average(own.detach()) - own.detach())
