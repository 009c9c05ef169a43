"""A trained painter at another size, or looking at a part of its pictures."""

from torch import Tensor

from fpainter.generators.base import PaintingGenerator
from fpainter.generators.canvas import ZeroCanvas
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import Painting
from fpainter.generators.view import View


class AnySizePainter(PaintingGenerator):
    """Paints the pictures of a painter as they are seen through a view.

    An image that is a sum of outer products has no resolution of its own: see
    `fpainter.generators.view`. Nothing is painted at the trained size and enlarged, and memory
    beside the image grows with its sides, not with its area.

    Args:
        painter: with an empty canvas and no refiner, and a rule that can be looked at anywhere.
        view: size and window.

    Raises:
        ValueError: if the painter is another.
    """

    def __init__(self, painter: FastWeightPainter, view: View) -> None:
        super().__init__()
        why = (
            "its refiner works on pictures of the trained size; refined=false leaves it out"
            if painter.refines
            else bound_to_its_size(painter)
        )
        if why is not None:
            raise ValueError(f"the painter paints at the size it was trained at: {why}")
        self.painter = painter
        self.view = view
        self.image_size = view.image_size
        self.channels = painter.channels
        self.d_latent = painter.d_latent
        self.num_labels = painter.num_labels
        self.class_names = painter.class_names
        self.num_steps = painter.num_steps
        self.refines = self.frozen = False

    def paint(self, z: Tensor, label: Tensor | None = None) -> Painting:
        """Paint the images of z [B d_latent] and label [B], if any, and keep every step."""
        return self.painter.paint(z, label, self.view)

    def activate(self, canvas: Tensor) -> Tensor:
        """Apply the painter's output activation to a canvas or an update [... C H W]."""
        return self.painter.activate(canvas)

    def refine(self, canvas: Tensor) -> Tensor:
        """Return the canvas [B C H W] as it is."""
        return canvas


def bound_to_its_size(painter: FastWeightPainter) -> str | None:
    """Say why the canvas of a painter cannot be seen at another size; None: it can."""
    if not isinstance(painter.canvas, ZeroCanvas):
        return "it begins with a learned canvas, which has pixels"
    if not painter.learning_rule.anywhere:
        return f"{type(painter.learning_rule).__name__} is written for vectors of one size"
    return None
