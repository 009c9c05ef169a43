"""What is to be shown: which images, with how many steps, and without which of them."""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fpainter.generators.any_size import AnySizePainter
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.input_generators import RepeatLatent
from fpainter.generators.latents import latents
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import Painting
from fpainter.generators.sampler import Sampler, evaluating
from fpainter.generators.view import View
from fpainter.nn.image_range import ImageRange
from fpainter.nn.sizes import is_whole
from fpainter.pictures.latents_file import StoredLatents


def whole_numbers(given: Any) -> tuple[int, ...]:
    """Read numbers as people write them: ``5``, ``"0-15"`` (both ends included), or a list of such.

    Raises:
        ValueError: if a number is negative or none, a range runs backwards, or there are none.
    """
    if isinstance(given, list | tuple) and given:
        return tuple(number for each in given for number in whole_numbers(each))
    if found := re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", str(given)):
        first, last = int(found[1]), int(found[2] or found[1])
        if first <= last:
            return tuple(range(first, last + 1))
        raise ValueError(f"{given}: the range ends before it begins; did you mean {last}-{first}?")
    raise ValueError(
        f"{given}: must be a number from 0 to 999999999, a range like 0-15, or a list of them"
    )


@dataclass(frozen=True)
class Painted:
    """Images and how they were painted.

    Attributes:
        painter: that painted them.
        image_range: the range its images are in.
        painting: all steps.
        refined: the refined canvas [B C H W]; None where nothing is refined.
    """

    painter: PaintingGenerator
    image_range: ImageRange
    painting: Painting
    refined: Tensor | None

    def show(self, canvas: Tensor) -> Tensor:
        """Return a canvas, an update or values [...] as the bytes of an image."""
        return self.image_range.to_bytes(self.painter.activate(canvas))


def paint(
    painter: PaintingGenerator, image_range: ImageRange, z: Tensor, label: Tensor | None = None
) -> Painted:
    """Paint the images of latents z [B d_latent] and label [B], if any, and keep all steps."""
    with evaluating(painter):
        like = next(painter.parameters())
        z, label = z.to(like), None if label is None else label.to(like.device)
        painting = painter.paint(z, label)
        refined = painter.refine(painting.image().to(z.dtype)) if painter.refines else None
    return Painted(painter, image_range, painting, refined)


def batches(size: int, z: Tensor, label: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield latents [B d_latent] and their labels, if any, `size` at a time."""
    for start in range(0, len(z), size):
        some = slice(start, start + size)
        yield z[some], None if label is None else label[some]


@dataclass(frozen=True)
class Selection:
    """Images chosen by their indices: image i depends on the seed and on i alone.

    Attributes:
        sampler: draws them.
        seed: of the latents.
        indices: numbers of the images, in the order in which they are shown.
        batch_size: images painted at a time.
        label: of all of them; None, and the classes take turns: image i is of class i modulo the
            number of classes.
        stored: latents of images, and their labels if known, that stand for those of the seed.
    """

    sampler: Sampler
    seed: int
    indices: tuple[int, ...]
    batch_size: int = 64
    label: int | None = None
    stored: StoredLatents | None = None

    def first(self, num: int) -> "Selection":
        """Return the first `num` of the images, or all if there are not so many."""
        return replace(self, indices=self.indices[:num])

    def slices(self) -> Iterator["Selection"]:
        """Yield the images in selections of `batch_size`."""
        for start in range(0, len(self.indices), self.batch_size):
            yield replace(self, indices=self.indices[start : start + self.batch_size])

    def latents(self) -> Tensor:
        """Return the latents [B d_latent].

        Raises:
            ValueError: if they are stored, and one is not there.
        """
        if self.stored is not None:
            return self.stored.latents[self.stored.places(self.indices)]
        return latents(self.seed, self.indices, self.sampler.d_latent)

    def labels(self) -> Tensor | None:
        """Return the labels [B] int64; None where the generator takes none."""
        num = self.sampler.generator.num_labels
        if not num:
            return None
        if self.label is None and self.stored is not None and self.stored.labels is not None:
            return self.stored.labels[self.stored.places(self.indices)]
        return torch.tensor([i % num if self.label is None else self.label for i in self.indices])

    def painted(self) -> Painted:
        """Paint all the images at once; only where the generator paints in steps."""
        generator = self.sampler.generator
        assert isinstance(generator, PaintingGenerator)
        return paint(generator, self.sampler.image_range, self.latents(), self.labels())

    def images(self) -> dict[str, Tensor]:
        """Return the images uint8 [B C H W], all at once, on the CPU.

        Where they are refined, ``unrefined`` come first; the others are called ``images``.
        """
        if not isinstance(self.sampler.generator, PaintingGenerator):
            return {"images": self.sampler(self.latents(), self.labels()).cpu()}
        work = self.painted()
        finished = work.show(work.painting.image()).cpu()
        if work.refined is None:
            return {"images": finished}
        return {"unrefined": finished, "images": work.show(work.refined).cpu()}


def edited(
    sampler: Sampler,
    num_steps: int | None = None,
    drop_steps: Sequence[int] = (),
    refined: bool = True,
    view: View | None = None,
) -> Sampler:
    """Return a sampler that paints with other steps or at another size.

    Args:
        sampler: to be edited; it stays as it is.
        num_steps: painting steps; None means as many as trained.
        drop_steps: numbers of the steps left out of the sum, in 1..T.
        refined: False leaves the refiner out; where nothing is refined it does not matter.
        view: which part of the pictures is painted, with how many pixels; None: as trained.

    Raises:
        ValueError: if the generator cannot paint so.
    """
    if num_steps is None and not drop_steps and refined and view is None:
        return sampler
    painter = sampler.generator
    if not isinstance(painter, FastWeightPainter):
        if view is not None:
            raise ValueError(f"{type(painter).__name__} paints at the size it was trained at only")
        if num_steps is not None or drop_steps:
            kind = type(painter).__name__
            raise ValueError(f"{kind} does not paint in steps: leave out num_steps and drop_steps")
        return sampler
    painter = copy.deepcopy(painter)
    if num_steps is not None:
        _set_num_steps(painter, num_steps)
    if drop_steps:
        last = painter.num_steps
        if not {*drop_steps} <= {*range(1, last + 1)}:
            raise ValueError(f"drop_steps must be in 1..{last}; got {list(drop_steps)}")

        def drop(rule: nn.Module, given: Any, painting: Painting) -> Painting:
            return painting.without(drop_steps)

        painter.learning_rule.register_forward_hook(drop)
    if not refined:
        painter.refiner, painter.refines = nn.Identity(), False
    return replace(sampler, generator=painter if view is None else AnySizePainter(painter, view))


def _set_num_steps(painter: FastWeightPainter, num_steps: int) -> None:
    """Let a painter paint with another number of steps than it was trained with.

    Raises:
        ValueError: if the steps of this painter cannot be more or fewer.
    """
    trained, inputs = painter.num_steps, painter.input_generator
    if not is_whole(num_steps):
        raise ValueError(f"num_steps must be at least 1; got {num_steps}")
    if num_steps == trained:
        return
    if not isinstance(inputs, RepeatLatent):
        raise ValueError(
            f"num_steps={num_steps}: this painter gives each of its {trained} steps a part of the "
            "latent; only one whose steps all read the whole latent (model/input_generator=repeat) "
            "can paint in more or fewer"
        )
    if inputs.step_embedding is not None:
        raise ValueError(
            f"num_steps={num_steps}: this painter has learned a vector for each of its {trained} "
            "steps, so there cannot be more or fewer"
        )
    strokes = trained // inputs.num_steps
    if num_steps % strokes:
        raise ValueError(
            f"num_steps={num_steps}: this painter paints {strokes} strokes at a time, so it must "
            f"be a multiple of {strokes}"
        )
    painter.num_steps, inputs.num_steps = num_steps, num_steps // strokes
