"""A grown painter paints the same pictures, larger."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fpainter.errors import UserError
from fpainter.generators.growing import grown_scales, grown_state
from fpainter.generators.learning_rules import DeltaRule, LearningRule, OjaRule, SumRule
from fpainter.generators.learning_rules.delta_product import DeltaProductRule
from fpainter.generators.lightgan import LightGANGenerator
from fpainter.generators.painter import FastWeightPainter
from fpainter.nn.cosine import cosine_basis
from fpainter.nn.interpolation import isometric_interpolation, linear_interpolation
from tests.generators.test_painter import D_HIDDEN, D_LATENT, STEPS, build

SIZES = [((8, 6), (16, 12)), ((8, 6), (11, 15)), ((4, 4), (16, 5))]


def grow(old: FastWeightPainter, size: tuple[int, int], **options: Any) -> FastWeightPainter:
    options |= grown_scales(old, size)
    new = build(size, **options)
    growth = grown_state(new, old, old.state_dict())
    assert not growth.misfits
    assert {*growth.sources, *growth.grown} == {*new.state_dict()}
    new.load_state_dict(growth.state)
    return new


@pytest.mark.parametrize(("old", "new"), [(6, 12), (6, 7), (8, 20), (3, 3), (1, 4)])
def test_interpolation(old: int, new: int) -> None:
    linear, isometric = linear_interpolation(new, old), isometric_interpolation(new, old)
    eye = torch.eye(old, dtype=torch.float64)
    torch.testing.assert_close(isometric.T @ isometric, eye * new / old)
    # torch's own linear interpolation, with pixel centres half a pixel in.
    expected = nn.functional.interpolate(eye[:, None], new, mode="linear", align_corners=False)
    torch.testing.assert_close(linear, expected[:, 0].T)
    with pytest.raises(ValueError, match="cannot become"):
        isometric_interpolation(old, new + old)


@pytest.mark.parametrize(("small", "large"), SIZES, ids=str)
@pytest.mark.parametrize("rule", [DeltaRule, SumRule, OjaRule])
@pytest.mark.parametrize("key", ["identity", "unit"])
@pytest.mark.parametrize("learned", [False, True])
def test_the_same_picture_larger(
    small: tuple[int, int],
    large: tuple[int, int],
    rule: type[nn.Module],
    key: str,
    learned: bool,
) -> None:
    options: dict[str, Any] = {
        "rule": rule(),
        "key_activation": key,
        "learned": learned,
        "gain": 3.0,
    }
    old = build(small, **options)
    new = grow(old, large, **options)
    z = torch.randn(3, D_LATENT)
    up, across = (isometric_interpolation(n, o).float() for n, o in zip(large, small, strict=True))
    expected = up @ old.paint(z).image() @ across.T
    error = (new.paint(z).image() - expected).abs().max() / expected.abs().max()
    assert error < 1e-5


@pytest.mark.parametrize(("small", "large"), SIZES, ids=str)
@pytest.mark.parametrize("rule", [DeltaRule, SumRule, OjaRule])
def test_cosines_are_sampled_more_finely(
    small: tuple[int, int], large: tuple[int, int], rule: type[nn.Module]
) -> None:
    options: dict[str, Any] = {"rule": rule(), "key_activation": "unit", "basis": "cosine"}
    old = build(small, **options)
    new = grow(old, large, **options)
    z = torch.randn(3, D_LATENT)
    waves = [
        (cosine_basis(n, 0)[:o].T @ cosine_basis(o, 0)) / o
        for n, o in zip(large, small, strict=True)
    ]
    expected = waves[0] @ old.paint(z).image() @ waves[1].T
    torch.testing.assert_close(new.paint(z).image(), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("small", "large"), [((4, 8), (8, 16)), ((8, 4), (8, 16))], ids=str)
@pytest.mark.parametrize("rule", [DeltaRule, SumRule, OjaRule, DeltaProductRule])
@pytest.mark.parametrize("key", ["identity", "unit"])
def test_coarse_strokes_stay_the_same(
    small: tuple[int, int], large: tuple[int, int], rule: type[LearningRule], key: str
) -> None:
    options: dict[str, Any] = {"rule": rule(), "key_activation": key}
    options |= {"basis": "scales", "scales": [2, 4, 8], "gain": 3.0}
    old = build(small, **options)
    new, z = grow(old, large, **options), torch.randn(3, D_LATENT)
    matrices = [torch.eye(s).double() for s in small]
    for axis, (after, before) in enumerate(zip(large, small, strict=True)):
        while before < after:
            matrices[axis] = isometric_interpolation(2 * before, before) @ matrices[axis]
            before *= 2
    up, across = (matrix.float() for matrix in matrices)
    torch.testing.assert_close(
        new.paint(z).image(), up @ old.paint(z).image() @ across.T, atol=1e-5, rtol=1e-4
    )
    # What was coarser than the smaller picture is written as it was.
    before, after = (p.state_dict()["head.to_instructions.weight"][: 3 * 2] for p in (old, new))
    assert torch.equal(before, after)


def test_growing_twice_and_without_a_change() -> None:
    options: dict[str, Any] = {"key_activation": "identity", "gain": 3.0}
    old = build((4, 4), **options)
    assert grown_scales(old, 4) == {}
    middle = grow(old, (8, 4), **options)
    last_options = options | grown_scales(middle, (8, 12))
    last = build((8, 12), **last_options)
    last.load_state_dict(grown_state(last, middle, middle.state_dict()).state)
    z = torch.randn(3, D_LATENT)
    across = isometric_interpolation(12, 4).float()
    torch.testing.assert_close(
        last.paint(z).image(), middle.paint(z).image() @ across.T, atol=1e-5, rtol=1e-4
    )


def test_softmax_keys_and_row_rates_nearly_agree() -> None:
    old = build((16, 16), rate="row", gain=3.0)
    new = grow(old, (32, 32), rate="row", gain=3.0)
    z = torch.randn(3, D_LATENT)
    expected, shown = old.paint(z).image(), nn.functional.avg_pool2d(new.paint(z).image(), 2)
    assert (shown - expected).norm() / expected.norm() < 0.15


@pytest.mark.parametrize("steps", [STEPS - 2, STEPS + 3])
def test_other_numbers_of_steps(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first steps paint as they did; further ones paint on."""
    old = build(embedding=True)
    monkeypatch.setattr("tests.generators.test_painter.STEPS", steps)
    new = build(embedding=True)
    growth = grown_state(new, old, old.state_dict())
    assert set(growth.grown) == {
        f"input_generator.{n}" for n in ("to_slices.weight", "to_slices.bias", "step_embedding")
    }
    new.load_state_dict(growth.state)
    z, both = torch.randn(3, D_LATENT), min(steps, STEPS)

    def canvas(painter: FastWeightPainter) -> Tensor:
        return painter.paint(z).canvases([both])

    torch.testing.assert_close(canvas(new), canvas(old))


def test_what_cannot_be_grown_is_refused() -> None:
    with pytest.raises(UserError, match="not made smaller, here from 7×4 to 7×3"):
        grown_scales(build(), (7, 3))
    with pytest.raises(UserError, match="with Identity cannot be grown from 7×4 to 14×8"):
        grown_scales(build(rule=nn.Identity()), (14, 8))
    old, wide = build(), build(d_wide=D_HIDDEN + 1)
    assert "head.to_instructions.weight" in grown_state(wide, old, old.state_dict()).misfits
    light = LightGANGenerator(d_latent=4, image_size=16, c_max=8)
    light.image_size = (16, 16)  # type: ignore[assignment]
    with pytest.raises(UserError, match="LightGANGenerator cannot be grown from 16×16 to 32×32"):
        grown_scales(light, 32)
