"""Settings for a data set and a machine, each with its reason: what ``experiment=auto`` chooses.

What was measured is in docs/quality.md: 5,000 images at 32×32 and 64×64, in batches of 32.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fpainter.checkpoints.record import in_hydras_grammar
from fpainter.data.looks import Looks
from fpainter.data.ratios import size_for
from fpainter.launch.machine import Machine
from fpainter.nn.sizes import as_size, size_text

SIDES = (16, 32, 64)
THREADS = 4  # of a CPU that can paint 64×64 pixels in an evening
MEASURED = 5_000  # images, for which this many iterations were best
ITERATIONS, AT_LEAST, AT_MOST = 24_000, 3_000, {False: 48_000, True: 120_000}
BATCH = 32
LARGE_SET, LARGE_GPU = 20_000, 20  # images and gigabytes from which on the model is larger
SECONDS = {32: 0.19, 64: 0.33}  # of one core for an iteration


class Choice(NamedTuple):
    """A setting that was chosen.

    Attributes:
        key: of the config.
        value: plain data.
        reason: for people.
    """

    key: str
    value: Any
    reason: str

    def __str__(self) -> str:
        plain = self.value if isinstance(self.value, str) else in_hydras_grammar(self.value)
        return f"{self.key}={plain}"


class Settings:
    """The choices for a data set and a machine, in an order in which they build on each other.

    Args:
        looks: of the data; None of a stream, which nobody looks through.
        machine: that trains.
        given: settings that the user has made, by their keys; they are not chosen, and the others
            follow them.
    """

    def __init__(self, looks: Looks | None, machine: Machine, given: Mapping[str, Any]) -> None:
        self.looks = looks
        self.machine = machine
        self.given = given
        self.choices: list[Choice] = []
        size = as_size(self._choose("image_size", *self._image_size()))
        self._choose("data.channels", *self._channels())
        large = self._experiment(size)
        self._model(size, large)
        self._training(size, large)
        self._length(size)

    def _choose(self, key: str, value: Any, reason: str) -> Any:
        """Note a choice and return it, or what the user has given in its place."""
        if key in self.given:
            return self.given[key]
        self.choices.append(Choice(key, value, reason))
        return value

    def _image_size(self) -> tuple[Any, str]:
        machine, looks = self.machine, self.looks
        side, reason = 64, f"{machine} can train the largest size that was tried"
        if not machine.is_gpu and machine.threads < THREADS:
            side, reason = 32, f"{machine}: 64×64 takes twice as long"
        if looks is None:
            return side, f"{reason}; square, since a stream is not looked through"
        fitting = max((each for each in SIDES if each <= 1.5 * looks.side), default=SIDES[0])
        if fitting < side:
            side, reason = fitting, f"the shorter side of most images has {looks.side} pixels"
        ratio = looks.ratio
        if ratio.share < 0.5:
            return side, f"{reason}; square, since the images have many shapes"
        height, width = size_for(ratio.ratio, side * side)
        reason += f"; {ratio.share:.0%} of images are about {ratio.ratio:.3g} times as high as wide"
        return (height if height == width else [height, width]), reason

    def _channels(self) -> tuple[int, str]:
        looks = self.looks
        if looks is None:
            return 3, "a stream is not looked through: colour"
        seen = f"of {looks.decoded} images looked at"
        if looks.transparent >= 0.5:
            return 4, f"{looks.transparent:.0%} {seen} are transparent in places"
        if looks.grey > 0.98:
            return 1, f"{looks.grey:.0%} {seen} are grey"
        return 3, f"{1 - looks.grey:.0%} {seen} have colour"

    def _experiment(self, size: tuple[int, int]) -> bool:
        """Choose where all else is from; say whether the model is large."""
        num, memory = self._num_images(), self.machine.memory or 0
        if size[0] * size[1] < 2_048:
            name, reason = "small", "the recipe for images of about 32×32"
        elif self.machine.is_gpu and memory >= LARGE_GPU and (num is None or num >= LARGE_SET):
            name, reason = (
                "quality64",
                (
                    f"{self.machine} and {_many(num)} images take a larger painter, which was not "
                    "trained to the end yet; experiment=small64 was"
                ),
            )
        else:
            name, reason = "small64", "the recipe that was measured best for about 64×64"
        self._choose("experiment", name, reason)
        return name == "quality64"

    def _model(self, size: tuple[int, int], large: bool) -> None:
        shorter = min(size)
        steps = min(32, shorter)
        reason = "as many as were measured"
        if steps < 32:
            reason = f"more would add nothing to images whose shorter side is {shorter}"
        if large:
            reason = "of two strokes each: the paper's 64"
        self._choose("model.generator.num_steps", steps, reason)
        hidden = (
            (1_024, "the paper's")
            if large
            else (384, "as was measured; 768 was unstable at this learning rate")
        )
        self._choose("model.generator.d_hidden", *hidden)
        halvings = _halvings(size)
        most, least = (512, 64) if large else (192, 24)
        widths = [max(most >> place, least) for place in reversed(range(halvings))]
        ends = size_text([side >> halvings for side in size])
        self._choose("model.discriminator.widths", widths, f"{halvings} halvings, to {ends}")

    def _training(self, size: tuple[int, int], large: bool) -> None:
        memory = self.machine.memory
        batch, reason = (2 * BATCH, "fills a GPU") if large else (BATCH, "as was measured")
        while memory is not None and memory < batch / 16 and batch > 4:
            batch, reason = batch // 2, f"{memory:.1f} GB of memory do not hold more"
        batch = self._choose("batch_size", batch, reason)
        gamma = gamma_for(size[0] * size[1], batch)
        self._choose(
            "model.regulariser.gamma", gamma,
            "sums over pixels: from 0.02 at 32×32 and 0.1 at 64×64, both measured"
            + ("" if batch == BATCH else f"; times {BATCH}/{batch} for the batch"),
        )  # fmt: skip
        num = self._num_images()
        few = num is not None and num < MEASURED / 2
        why = "grows as far as the discriminator knows the images by heart"
        why += f", which it soon does with {num:,}" if few else ""
        self._choose("model/augment", "adaptive", why)
        self._choose(
            "data.flip", True,
            "mirrored images count, too; data.flip=false where they are wrong, such as letters",
        )  # fmt: skip
        self._choose("model/schedule", "constant", "rates that fall gained nothing")

    def _length(self, size: tuple[int, int]) -> None:
        num, gpu = self._num_images(), self.machine.is_gpu
        if num is None:
            iterations, reason = AT_MOST[gpu], "the most; a stream may have any number of images"
        else:
            iterations, reason = (
                iterations_for(num, gpu),
                (
                    f"{ITERATIONS:,} were best for {MEASURED:,} images; "
                    f"more or fewer by the root of their number, here {num:,}"
                ),
            )
        if not gpu:
            side = min(SECONDS, key=lambda side: abs(side - math.sqrt(size[0] * size[1])))
            reason += f"; about {SECONDS[side]} s each of one core"
        iterations = self._choose("num_iterations", iterations, reason)
        reals = MEASURED if num is None else num
        fakes = max(1_000, min(reals, 10_000 if gpu else 2_000))
        why = "each score takes a moment" if gpu else "a CPU sees 8 a second and core"
        self._choose("fid.num_images", fakes, f"fakes per score: {why}")
        every = max(iterations // 600 * 100, 100)
        self._choose("fid.every", every, f"{-(-iterations // every)} scores")

    def _num_images(self) -> int | None:
        return None if self.looks is None else self.looks.num_images


def gamma_for(num_pixels: int, batch_size: int) -> float:
    """Return the weight of R1: 0.02 at 32×32, 0.1 at 64×64, a straight line of logarithms.

    Args:
        num_pixels: of an image.
        batch_size: the smaller, the larger the weight, as in StyleGAN2-ADA's ``cfg=auto``.
    """
    gamma = 0.02 * 5 ** math.log(num_pixels / 1_024, 4) * BATCH / batch_size
    return float(f"{gamma:.2g}")


def iterations_for(num_images: int, gpu: bool) -> int:
    """Return how long to train: by the root of the number of images, to two digits."""
    wanted = ITERATIONS * math.sqrt(num_images / MEASURED)
    return int(float(f"{min(max(wanted, AT_LEAST), AT_MOST[gpu]):.2g}"))


def _halvings(size: tuple[int, int]) -> int:
    """Return how often both sides halve evenly while the shorter keeps 3 pixels or more."""
    even = math.gcd(*size)
    return max(1, min((min(size) // 3).bit_length() - 1, (even & -even).bit_length() - 1))


def _many(num: int | None) -> str:
    return "any number of" if num is None else f"{num:,}"
