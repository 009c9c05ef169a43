"""Each augmentation against every result it may have, and the gradients through it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.augmentation import diff as augment
from fpainter.augmentation.diff import TYPES, DiffAugment

MANY = 4000


def distinct(channels: int, height: int, width: int) -> Tensor:
    """Return an image [1 C H W] whose values all differ and are not zero."""
    values = torch.arange(1, channels * height * width + 1, dtype=torch.float32)
    return values.view(1, channels, height, width)


def assert_uniform(results: Tensor, candidates: list[Tensor]) -> None:
    """Every result [B C H W] is exactly one candidate [1 C H W], all about equally often."""
    hits = torch.stack([(results == c).flatten(1).all(dim=1) for c in candidates])
    assert (hits.sum(dim=0) == 1).all()
    mean = len(results) / len(candidates)
    # Five standard deviations of a count.
    assert (hits.sum(dim=1) - mean).abs().max() < 5 * mean**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 7, 12), (5, 3, 16, 9), (2, 4, 1, 3)], ids=str)
@pytest.mark.parametrize("name", TYPES)
def test_shape_and_dtype_stay(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.randn(shape, dtype=dtype)
    before = x.clone()
    y = DiffAugment([name], 1.0)(x)
    assert (y.shape, y.dtype, y.device) == (x.shape, x.dtype, x.device)
    assert y.isfinite().all()
    assert torch.equal(x, before)


# Sides whose eighth and half end in .5, which round() would round to the even neighbour.
@pytest.mark.parametrize(
    ("size", "bounds"), [((12, 20), (2, 3)), ((20, 7), (3, 1)), ((4, 3), (1, 0))], ids=str
)
@pytest.mark.parametrize("channels", [1, 3])
def test_translation(size: tuple[int, int], bounds: tuple[int, int], channels: int) -> None:
    x = distinct(channels, *size)
    down, right = bounds
    padded = F.pad(x, (right, right, down, down))
    candidates = [
        padded[:, :, i : i + size[0], j : j + size[1]]
        for i in range(2 * down + 1)
        for j in range(2 * right + 1)
    ]
    assert_uniform(TYPES["translation"](x.repeat(MANY, 1, 1, 1)), candidates)


@pytest.mark.parametrize(
    ("size", "cut"), [((5, 8), (3, 4)), ((7, 9), (4, 5)), ((2, 1), (1, 1))], ids=str
)
@pytest.mark.parametrize("channels", [1, 4])
def test_cutout(size: tuple[int, int], cut: tuple[int, int], channels: int) -> None:
    x = distinct(channels, *size)
    candidates = []
    for row in range(size[0] + (cut[0] % 2 == 0)):
        for column in range(size[1] + (cut[1] % 2 == 0)):
            top, left = row - cut[0] // 2, column - cut[1] // 2
            candidate = x.clone()
            candidate[:, :, max(top, 0) : top + cut[0], max(left, 0) : left + cut[1]] = 0
            candidates.append(candidate)
    assert_uniform(TYPES["cutout"](x.repeat(MANY, 1, 1, 1)), candidates)


@pytest.mark.parametrize(
    ("name", "rolled"),
    [("offset", (True, True)), ("offset_h", (False, True)), ("offset_v", (True, False))],
)
def test_offset(name: str, rolled: tuple[bool, bool]) -> None:
    x = distinct(3, 5, 7)
    candidates = [
        x.roll((i, j), (2, 3))
        for i in range(5 if rolled[0] else 1)
        for j in range(7 if rolled[1] else 1)
    ]
    assert_uniform(TYPES[name](x.repeat(MANY, 1, 1, 1)), candidates)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_color(channels: int) -> None:
    """The three numbers are found from the means, each of which one step scales or shifts."""
    x = torch.randn(MANY, channels, 3, 4, dtype=torch.float64)
    y = TYPES["color"](x)
    mean, grey = x.mean(dim=(1, 2, 3), keepdim=True), x.mean(dim=1, keepdim=True)
    mean_y, grey_y = y.mean(dim=(1, 2, 3), keepdim=True), y.mean(dim=1, keepdim=True)

    def ratio(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(dim=(1, 2, 3), keepdim=True) / b.square().sum(
            dim=(1, 2, 3), keepdim=True
        )

    brightness, contrast = mean_y - mean, ratio(grey_y - mean_y, grey - mean)
    drawn = [(brightness, -0.5, 0.5), (contrast, 0.5, 1.5)]
    expected = mean + brightness + contrast * (grey - mean)
    if channels > 1:  # of one channel there is nothing to saturate
        saturation = ratio(y - grey_y, x - grey) / contrast
        drawn.append((saturation, 0.0, 2.0))
        expected = expected + contrast * saturation * (x - grey)
    torch.testing.assert_close(y, expected)
    for number, low, high in drawn:
        standard = ((number - low) / (high - low)).flatten().sort().values
        # Kolmogorov-Smirnov: the quantiles of U(0, 1).
        assert (standard - torch.linspace(0, 1, MANY, dtype=torch.float64)).abs().max() < 0.03
        assert standard.min() > -1e-9
        assert standard.max() < 1 + 1e-9
    independent = torch.stack([number.flatten() for number, _, _ in drawn]).corrcoef()
    assert (independent - torch.eye(len(drawn))).abs().max() < 0.08


def test_types_are_applied_in_order() -> None:
    x = torch.rand(50, 3, 8, 8) + 1
    assert (DiffAugment(["color", "cutout"], 1.0)(x) == 0).flatten(1).any(dim=1).all()
    assert not (DiffAugment(["cutout", "color"], 1.0)(x) == 0).any()


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("training", [True, False])
def test_probability_is_of_each_image(probability: float, training: bool) -> None:
    x = distinct(1, 6, 6).repeat(MANY, 1, 1, 1)
    module = DiffAugment(["cutout"], probability).train(training)
    changed = (module(x) != x).flatten(1).any(dim=1).float().mean().item()
    # Five standard deviations; none where the probability leaves no doubt.
    tolerance = 5 * (probability * (1 - probability) / MANY) ** 0.5
    assert changed == pytest.approx(probability, abs=tolerance)


def test_probability_zero_returns_the_images_themselves() -> None:
    x = torch.randn(2, 3, 8, 8)
    assert DiffAugment(probability=0.0)(x) is x


def test_half_of_the_augmented_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(augment.TYPES, "same", lambda x: x)
    x = distinct(3, 4, 5)
    assert_uniform(DiffAugment(["same"], 1.0)(x.repeat(MANY, 1, 1, 1)), [x, x.flip(3)])


def seeded(module: DiffAugment) -> Callable[[Tensor], Tensor]:
    """Make a function with a second derivative whose draws are the same each time."""

    def function(x: Tensor) -> Tensor:
        torch.default_generator.manual_seed(1)
        return module(x).pow(3)

    return function


@pytest.mark.parametrize("types", [[name] for name in TYPES] + [list(TYPES)], ids=str)
def test_derivatives(types: list[str]) -> None:
    x = torch.randn(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    function = seeded(DiffAugment(types, 0.7))
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def test_the_seed_rules() -> None:
    module = DiffAugment(list(TYPES))
    x = torch.randn(16, 3, 8, 12)
    torch.manual_seed(3)
    first, second = module(x), module(x)
    torch.manual_seed(3)
    assert torch.equal(module(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("types", [[], ["cutout", "colour"], "cutout"], ids=str)
def test_names_unknown_types(types: list[str]) -> None:
    with pytest.raises(ValueError, match=r"one or more of .*'color', .*'offset_v'.*; got"):
        DiffAugment(types)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_names_impossible_probabilities(probability: float) -> None:
    with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\]; got"):
        DiffAugment(probability=probability)
