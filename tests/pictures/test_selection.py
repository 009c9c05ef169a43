"""Which images and steps are shown: numbers as people write them, dropped steps, other T."""

from typing import Any

import pytest
import torch

from fpainter.generators.input_generators import RepeatLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.latents import latents
from fpainter.generators.learning_rules import DeltaRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sampler import Sampler
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.nn.image_range import ImageRange
from fpainter.nn.sizes import is_whole
from fpainter.pictures.selection import Selection, edited, paint, whole_numbers
from tests.pictures.test_pictures import refining
from tests.training.toys import D_LATENT, STEPS, painter

SIGNED = ImageRange("signed")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (5, (5,)),
        ("5", (5,)),
        (0, (0,)),
        ("0-3", (0, 1, 2, 3)),
        ("7-7", (7,)),
        ([3, 7], (3, 7)),
        ([7, "1-2", 7], (7, 1, 2, 7)),
    ],
)
def test_whole_numbers(given: Any, expected: tuple[int, ...]) -> None:
    assert whole_numbers(given) == expected


@pytest.mark.parametrize(
    ("value", "least", "expected"),
    [
        (1, 1, True), (0, 1, False), (0, 0, True), (-1, 0, False),
        (1.0, 1, False), ("1", 1, False), (True, 1, False), (None, 1, False),
    ],
)  # fmt: skip
def test_is_whole(value: Any, least: int, expected: bool) -> None:
    assert is_whole(value, least) is expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("5-1", "did you mean 1-5"),
        ("cat", "cat: must be a number"),
        (-3, "must be a number from 0"),
        ("1-", "must be a number"),
        ("1-2-3", "must be a number"),
        (1.5, "must be a number"),
        (True, "must be a number"),
        ([], "must be a number"),
        ([2, "x"], "x: must be a number"),
        ("9999999999", "to 999999999"),
    ],
)
def test_what_are_no_numbers(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        whole_numbers(given)


def test_images_are_those_of_the_sampler_whatever_the_slices() -> None:
    for generator in (painter(), refining()):
        sampler = Sampler(generator, SIGNED)
        selection = Selection(sampler, seed=3, indices=(4, 0, 9), batch_size=2)
        parts = [part.images() for part in selection.slices()]
        shown = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        z = latents(3, [4, 0, 9], D_LATENT)
        assert torch.equal(shown["images"], sampler(z))
        before = sampler.before_refiner()
        assert ("unrefined" in shown) == (before is not None)
        if before is not None:
            assert torch.equal(shown["unrefined"], before(z))
            assert not torch.equal(shown["unrefined"], shown["images"])


def without(
    artist: FastWeightPainter, *drop_steps: int, num_steps: int | None = None, refined: bool = True
) -> FastWeightPainter:
    changed = edited(Sampler(artist, SIGNED), num_steps, drop_steps, refined).generator
    assert isinstance(changed, FastWeightPainter)
    return changed


def test_dropped_steps_leave_the_other_terms_as_they_are() -> None:
    artist, z = painter(), torch.randn(3, D_LATENT)
    with torch.no_grad():
        updates = artist.paint(z).updates()
        changed = without(artist, 2, 4)
        kept = updates[:, 0] + updates[:, 2]
        torch.testing.assert_close(changed.paint(z).image(), kept)
        torch.testing.assert_close(changed(z), kept.tanh())
        assert not torch.allclose(kept, updates.sum(dim=1), atol=1e-3)
        torch.testing.assert_close(artist.paint(z).image(), updates.sum(dim=1))  # not changed
        after_two = changed.paint(z).canvases([2])[:, 0]
        torch.testing.assert_close(after_two, updates[:, 0])
        assert torch.equal(without(artist)(z), artist(z))


@pytest.mark.parametrize("step", [0, STEPS + 1])
def test_no_such_step(step: int) -> None:
    with pytest.raises(ValueError, match=rf"in 1..{STEPS}; got \[1, {step}\]"):
        without(painter(), 1, step)


def test_the_refiner_sees_what_is_left_or_nothing() -> None:
    artist, z = refining(), torch.randn(2, D_LATENT)
    with torch.no_grad():
        kept = artist.paint(z).updates()[:, 1:].sum(dim=1)
        torch.testing.assert_close(without(artist, 1)(z), (kept / 2).tanh())
    work = paint(without(artist, 1), SIGNED, z)
    assert work.refined is not None
    torch.testing.assert_close(work.refined, kept / 2)
    plain = without(artist, 1, refined=False)
    assert paint(plain, SIGNED, z).refined is None
    assert Sampler(plain, SIGNED).before_refiner() is None
    with torch.no_grad():
        torch.testing.assert_close(plain(z), kept.tanh())


def v1(num_steps: int, step_embedding: bool = False) -> FastWeightPainter:
    return FastWeightPainter(
        num_steps,
        D_LATENT,
        6,
        8,
        3,
        RepeatLatent(D_LATENT, num_steps, step_embedding),
        LSTMProcessor(D_LATENT, 6, 1, D_LATENT),
        InstructionHead(6, 8),
        DeltaRule(),
    )


@pytest.mark.parametrize("num_steps", [1, 3, STEPS, 11])
def test_v1_paints_with_any_number_of_steps(num_steps: int) -> None:
    trained, built, z = v1(STEPS), v1(num_steps), torch.randn(2, D_LATENT)
    built.load_state_dict(trained.state_dict())
    other = without(trained, num_steps=num_steps)
    with torch.no_grad():
        assert other.paint(z).num_steps == other.num_steps == num_steps
        assert torch.equal(other(z), built(z))
        assert trained.paint(z).num_steps == STEPS
        # An LSTM that runs longer begins the same.
        shared = min(num_steps, STEPS)
        torch.testing.assert_close(
            other.paint(z).canvases([shared]), trained.paint(z).canvases([shared])
        )


def test_other_painters_have_the_steps_they_were_trained_with() -> None:
    same = painter()
    z = torch.randn(2, D_LATENT)
    assert torch.equal(without(same, num_steps=STEPS)(z), same(z))
    with pytest.raises(ValueError, match="this painter gives each of its 4 steps a part"):
        without(same, num_steps=5)
    with pytest.raises(ValueError, match="a vector for each of its 4 steps"):
        without(v1(STEPS, step_embedding=True), num_steps=5)
    with pytest.raises(ValueError, match="at least 1; got 0"):
        without(v1(STEPS), num_steps=0)
