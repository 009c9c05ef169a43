"""What a painter learns from besides the discriminator's opinion of its finished images."""

from dataclasses import dataclass

from torch import Tensor

from fpainter.generators.painting import Painting


@dataclass(frozen=True)
class Supervision:
    """Which of a painter's images are judged, and how the refined ones pull the unrefined.

    Attributes:
        before_refiner: judge each image also as it is before the refiner, so that the painter
            keeps learning to paint while a refiner learns with it.
        num_canvases: canvases of each image that are judged: 1 is the finished one, n adds those
            after the updates ``t = floor(j T / n) + 1`` for j = 1 .. n - 1.
        scale_canvases: multiply canvas j of n by n / j, to about the strength of a finished one.
        match_refined: weight of the mean squared difference between unrefined and refined images.
            Its gradient reaches the painter only: it learns to paint what is made of its images.

    Raises:
        ValueError: if a number is out of range.

    Source: Irie & Schmidhuber 2023, appendix C.1, for `before_refiner`; ``use_intermed_loss``
    (one update later than j T / n would have it) and ``use_unet_match_loss`` of the released code.
    """

    before_refiner: bool = False
    num_canvases: int = 1
    scale_canvases: bool = True
    match_refined: float = 0.0

    def __post_init__(self) -> None:
        if self.num_canvases < 1:
            raise ValueError(f"num_canvases must be at least 1; got {self.num_canvases}")
        if self.match_refined < 0:
            raise ValueError(f"match_refined must not be negative; got {self.match_refined}")

    @property
    def needs_refiner(self) -> bool:
        """Return whether any of it can only be done with a refiner."""
        return self.before_refiner or self.match_refined > 0

    def unfinished(self, painting: Painting) -> Tensor | None:
        """Return the unfinished canvases to judge [(n-1)·B C H W], the earliest first, or None."""
        n, num_steps = self.num_canvases, painting.num_steps
        if n == 1:
            return None
        canvases = painting.canvases([j * num_steps // n + 1 for j in range(1, n)])  # [B n-1 ...]
        if self.scale_canvases:
            scale = canvases.new_tensor([n / j for j in range(1, n)])
            canvases = canvases * scale[:, None, None, None]
        return canvases.transpose(0, 1).flatten(0, 1)
