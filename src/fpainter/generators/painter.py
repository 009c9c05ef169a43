"""The Fast Weight Painter: its parts in the order in which a latent becomes an image."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.generators.base import Fakes, PaintingGenerator
from fpainter.generators.canvas import ZeroCanvas
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.labels import JoinLabel
from fpainter.generators.learning_rules import LearningRule
from fpainter.generators.painting import Painting
from fpainter.generators.supervision import Supervision
from fpainter.generators.view import View, instructions_at
from fpainter.nn.activations import ACTIVATIONS, check_choice
from fpainter.nn.sizes import as_size


class FastWeightPainter(PaintingGenerator):
    """A slow net orders T rank-1 updates of a weight matrix per channel; they are the image.

    ``x = input_generator(z)``, ``h = sequence_processor(x, z)``, ``(k, v, beta) = head(h)``,
    ``W_1..W_T = learning_rule(k, v, beta)`` on ``W_0``, ``image = activation(refiner(W_T))``.

    Args:
        num_steps: steps of the slow net. Each is a painting step, unless the head has `strokes`
            of them; the number T of painting steps bounds the rank of each channel.
        d_latent: size of z ~ N(0, I).
        d_hidden: size of the hidden state between processor and head.
        image_size: side, or (H, W).
        channels: colour channels C.
        input_generator: z [B d_latent] -> x [B num_steps d_input]; has the attributes `num_steps`,
            `d_latent` and `d_input`.
        sequence_processor: x, z -> h [B num_steps d_hidden]; has `d_input` and `d_hidden`.
        head: h -> instructions; has `d_hidden`, `image_size` (H, W) and `channels`, and writes
            what the rule orders.
        learning_rule: instructions, canvas -> painting.
        canvas: number of images -> W_0 [B C H W] or None; default an empty canvas.
        refiner: [B C H W] -> [B C H W]; has `image_size` (H, W) and `channels`. Default, or
            `nn.Identity`: none.
        output_activation: ``tanh`` (the paper) or ``identity``.
        supervision: which images besides the finished ones are judged; default none.
        freeze_painter: leave all parameters but the refiner's as they are, as in the paper's
            training of a U-Net on top of a trained painter.
        num_labels: classes; 0 paints without labels. A label joins the latent: see `JoinLabel`.

    Raises:
        ValueError: if two parts disagree about a size or one does not name it, or a refiner is
            needed and missing.

    Source: Irie & Schmidhuber 2023, sections 3.1 and 3.2, Eqs. 4 to 10.
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
        head: InstructionHead,
        learning_rule: LearningRule,
        canvas: nn.Module | None = None,
        refiner: nn.Module | None = None,
        output_activation: str = "tanh",
        supervision: Supervision | None = None,
        freeze_painter: bool = False,
        num_labels: int = 0,
    ) -> None:
        super().__init__()
        self.num_steps = num_steps * getattr(head, "strokes", 1)
        self.d_latent = d_latent
        self.image_size = as_size(image_size)
        self.channels = channels
        self.input_generator = input_generator
        self.sequence_processor = sequence_processor
        self.head: InstructionHead = head
        self.learning_rule: LearningRule = learning_rule
        self.canvas = canvas or ZeroCanvas()
        self.refiner = refiner or nn.Identity()
        self.output_activation = check_choice("output_activation", output_activation)
        self.supervision = supervision or Supervision()
        self.refines = not isinstance(self.refiner, nn.Identity)
        if not self.refines and (self.supervision.needs_refiner or freeze_painter):
            what = "freeze_painter" if freeze_painter else f"{self.supervision}"
            raise ValueError(f"{what} needs a refiner; got none")
        if self.supervision.num_canvases > self.num_steps:
            raise ValueError(
                f"supervision.num_canvases must be at most num_steps={self.num_steps}; "
                f"got {self.supervision.num_canvases}"
            )
        self.num_labels = num_labels
        self.join_label = JoinLabel(num_labels, d_latent)
        self.frozen = freeze_painter
        if freeze_painter:
            self.requires_grad_(False)
            self.refiner.requires_grad_(True)
        self._check_parts(num_steps, d_hidden)

    def _check_parts(self, num_steps: int, d_hidden: int) -> None:
        """Refuse parts that do not name a size, or have another one than the rest."""
        steps = {"num_steps": num_steps, "d_latent": self.d_latent}
        d_input = {"d_input": getattr(self.input_generator, "d_input", None)}
        hidden = {"d_hidden": d_hidden}
        image = {"image_size": self.image_size, "channels": self.channels}
        required: dict[str, dict[str, Any]] = {
            "input_generator": steps | d_input,
            "sequence_processor": d_input | hidden,
            "head": hidden | image,
            "refiner": image if self.refines else {},
        }
        for part, sizes in required.items():
            module = getattr(self, part)
            for size, expected in sizes.items():
                if not hasattr(module, size):
                    raise ValueError(
                        f"{part}: {type(module).__name__} must have an attribute {size}"
                    )
                if (got := getattr(module, size)) != expected:
                    raise ValueError(f"{part}.{size} is {got}, but the painter needs {expected}")
        written = {order.name for order in getattr(self.head, "orders", ())}
        if missing := {order.name for order in getattr(self.learning_rule, "orders", ())} - written:
            raise ValueError(
                f"{type(self.learning_rule).__name__} orders {', '.join(sorted(missing))}, too, "
                "which the head does not write; give the head the rule: head.learning_rule"
            )

    def paint(self, z: Tensor, label: Tensor | None = None, view: View | None = None) -> Painting:
        """Paint the images of z [B d_latent] and label [B], if any, and keep every step.

        Args:
            z: latents.
            label: class indices, if there are labels.
            view: at which places; None: those of training. `AnySizePainter` asks whether it can be.
        """
        written = self.write(z, label)
        there = None if view is None else instructions_at(self.head, written, view)
        painting: Painting = self.learning_rule(self.head.read(written), self.canvas(len(z)), there)
        return painting

    def write(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Return what the head writes for z [B d_latent] and label [B], if any."""
        z = self.join_label(z, label)
        return self.head.write(self.sequence_processor(self.input_generator(z), z))

    def activate(self, canvas: Tensor) -> Tensor:
        """Apply the output activation to a canvas or an update [... C H W]."""
        return ACTIVATIONS[self.output_activation](canvas)

    def refine(self, canvas: Tensor) -> Tensor:
        """Map a canvas [B C H W] to the refined canvas of the same shape."""
        return self.refiner(canvas)

    def fakes(self, z: Tensor, label: Tensor | None = None) -> Fakes:
        """Return the images to judge: unfinished and unrefined ones, if any, then G(z)."""
        painting = self.paint(z, label)
        canvas = painting.image().to(z.dtype)
        refined, unrefined = self.activate(self.refine(canvas)), self.activate(canvas)
        shown = [refined]
        if self.supervision.before_refiner:
            shown.insert(0, unrefined)
        unfinished = self.supervision.unfinished(painting)
        if unfinished is not None:
            shown.insert(0, self.activate(unfinished.to(z.dtype)))
        loss = None
        if self.supervision.match_refined:
            loss = self.supervision.match_refined * F.mse_loss(unrefined, refined.detach())
        return Fakes(torch.cat(shown), loss)
