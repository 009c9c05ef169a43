"""One run at several image sizes, whose iterations take turns."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fpainter.discriminators.convolutional import ConvolutionalDiscriminator
from fpainter.errors import UserError
from fpainter.generators.any_size import AnySizePainter
from fpainter.generators.canvas import LearnedCanvas
from fpainter.generators.supervision import Supervision
from fpainter.generators.view import View
from fpainter.losses.diversity import ModeSeeking
from fpainter.training.judging import Reals
from fpainter.training.mixed_sizes import AtSizes, turn
from fpainter.training.phases import DiscriminatorPhase, GeneratorPhase, PenaltyPhase, Terms
from tests.training.test_gan_module import Watch, fit, give_latents, pytestmark
from tests.training.toys import SIZE, gan, painter

__all__ = ["pytestmark"]

HALF = SIZE // 2


def mixed(*halvings: Any, diversity: ModeSeeking | None = None, **options: Any) -> Any:
    phases = {
        "discriminator": AtSizes(DiscriminatorPhase(), halvings),
        "generator": AtSizes(GeneratorPhase(diversity), halvings),
    }
    judge = ConvolutionalDiscriminator(SIZE, widths=(4, 6), group_size=1, skips=1)
    return gan(**{"discriminator": judge, "phases": phases, **options})


def test_turns_are_even_and_meet_every_interval() -> None:
    turns = [turn(iteration, 3) for iteration in range(3000)]
    assert all(995 <= count <= 1005 for count in Counter(turns).values())
    for every in (2, 3, 4, 8, 16):
        assert set(turns[::every]) == {0, 1, 2}
        assert min(Counter(turns[::every]).values()) > 0.9 * 1000 / every


def test_a_phase_at_a_smaller_size_is_the_phase_of_the_painter_seen_there() -> None:
    """With all that its terms have, the distances of mode seeking among them."""
    module = mixed(1, 0, diversity=ModeSeeking())
    images, z = torch.rand(3, 3, SIZE, SIZE), torch.randn(3, 5)
    small = Reals(F.interpolate(images, scale_factor=0.5, mode="area"), None)
    expected = mixed(1, 0)
    expected.generator = AnySizePainter(module.generator, View.of(HALF))
    expected.discriminator = module.discriminator
    for phase in module.phases.values():
        found = phase.terms(module, Reals(images, None), z)
        wanted = phase.phase.terms(expected, small, z)
        assert found.minimised.keys() == wanted.minimised.keys()
        for name, value in found.minimised.items():
            assert torch.equal(value, wanted.minimised[name])
    assert "diversity" in found.minimised


def test_halvings_are_of_the_images_of_the_run_and_each_has_its_turns() -> None:
    """Also of a rectangle; the run's own size is one of them."""

    class Seeing(GeneratorPhase):
        def terms(self, game: Any, reals: Reals, z: torch.Tensor) -> Terms:
            sizes.append((tuple(reals.images.shape[-2:]), tuple(game.generator(z).shape[-2:])))
            return Terms({})

    sizes: list[Any] = []
    toy = painter((24, 16))
    judge = ConvolutionalDiscriminator((24, 16), widths=(4, 6, 8), group_size=1, skips=2)
    phases = {"discriminator": DiscriminatorPhase(), "generator": AtSizes(Seeing(), [2, 0, 0, 1])}
    module: Any = gan(generator=toy, discriminator=judge, phases=phases)
    reals, z = Reals(torch.rand(2, 3, 24, 16), None), torch.randn(2, 5)
    for module.iteration in range(100):
        module.phases["generator"].terms(module, reals, z)
    assert {real: real for real, _ in sizes} == dict(sizes)
    counts = Counter(real for real, _ in sizes)
    assert counts.keys() == {(24, 16), (12, 8), (6, 4)}
    assert 47 <= counts[24, 16] <= 53


def test_at_the_size_of_the_run_nothing_changes(tmp_path: Path) -> None:
    judge = [
        ConvolutionalDiscriminator(SIZE, widths=(4, 6), group_size=1, skips=1) for _ in range(2)
    ]
    judge[1].load_state_dict(judge[0].state_dict())
    module, plain = mixed(0, discriminator=judge[0]), gan(discriminator=judge[1])
    for each in (module, plain):
        give_latents(each)
        fit(each, 3, tmp_path)
    for name, value in plain.state_dict().items():
        assert torch.equal(module.state_dict()[name], value)


def test_all_sizes_train_one_painter(tmp_path: Path) -> None:
    """The first turn is the half size, the second the whole; both move all of the painter."""
    watch, module = Watch(), mixed(1, 0)
    before = [p.clone() for p in module.generator.parameters()]
    fit(module, 1, tmp_path, watch)
    moved = zip(before, module.generator.parameters(), strict=True)
    assert all(not torch.equal(old, new) for old, new in moved)
    watch, module = Watch(), mixed(1, 0)
    fit(module, 6, tmp_path, watch)
    assert all("loss/generator" in row for row in watch.metrics)


def test_the_discriminator_begins_where_a_smaller_copy_enters() -> None:
    judge = ConvolutionalDiscriminator(16, widths=(4, 6, 8), group_size=1, skips=2)
    image = torch.randn(2, 3, 16, 16)
    assert judge(image).logits[0].shape == (2, 1)
    # With the layers before it silent, the whole image is judged as its smaller copy alone.
    for name in ("second", "shortcut"):
        for parameter in getattr(judge.downs[0], name).parameters():
            torch.nn.init.zeros_(parameter)
    half = F.avg_pool2d(image, 2)
    assert torch.allclose(judge(image).logits[0], judge(half).logits[0], atol=1e-6)
    assert judge(F.avg_pool2d(half, 2)).logits[0].shape == (2, 1)


def test_what_cannot_be_is_said() -> None:
    judge = ConvolutionalDiscriminator(16, widths=(4, 6), skips=1)
    with pytest.raises(UserError, match="judges images of 16×16, 8×8, and none of 12×12"):
        judge(torch.randn(2, 3, 12, 12))
    for halvings in ([], [1], 1, [0, -1], [0, 0.5], [False], "10", [[32, 32]]):
        with pytest.raises(ValueError, match="halvings must say how often image_size is halved"):
            AtSizes(GeneratorPhase(), halvings)  # type: ignore[arg-type]


def test_players_that_cannot_are_refused_when_the_module_is_built() -> None:
    with pytest.raises(ValueError, match=r"halvings=\[1, 0\] needs a painter .*num_canvases=1"):
        mixed(1, 0, generator=painter(supervision=Supervision(num_canvases=2)))
    with pytest.raises(ValueError, match="images of 8×8 cannot be halved evenly 4 times"):
        mixed(0, 4)
    with pytest.raises(ValueError, match=r"judges smaller images, too: .*discriminator\.skips=2"):
        mixed(2, 1, 0)
    with pytest.raises(ValueError, match=r"halvings=\[1, 0\]: .*a learned canvas"):
        mixed(1, 0, generator=painter(canvas=LearnedCanvas(SIZE)))
    phases: Any = {"generator": GeneratorPhase(), "discriminator": DiscriminatorPhase()}
    phases |= {"penalty": AtSizes(PenaltyPhase(), [0])}
    with pytest.raises(ValueError, match=r"phases\.penalty needs model\.regulariser"):
        gan(phases=phases, regulariser=None)
