"""The probability follows the discriminator; each type is applied with it, on its own."""

from typing import Any

import pytest
import torch
from torch import Tensor

from fpainter.augmentation import adaptive
from fpainter.augmentation.adaptive import AdaptiveAugment
from fpainter.augmentation.affine import affine
from fpainter.augmentation.colours import COLOURS
from fpainter.augmentation.diff import TYPES
from fpainter.augmentation.geometry import GEOMETRY

MANY = 4000


def test_the_probability_moves_towards_the_target() -> None:
    augment = AdaptiveAugment(target=0.5, num_images=100, window=2, most=0.25)
    seen = []
    for sign in (1.0, 1.0, 1.0, 0.2, 0.2, float("nan"), 1.0):
        augment.adapt(torch.tensor(sign), num_images=10)
        seen.append(round(augment.probability.item(), 6))
    # Means of two: 0.5 (the target), 1, 1, 0.6, 0.2, 0.1, 0.5; at most 0.25.
    assert seen == [0.0, 0.1, 0.2, 0.25, 0.15, 0.05, 0.05]


def test_types_are_applied_independently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three changes whose traces can be told apart, one of them of places."""

    def to_the_middle(x: Tensor) -> Tensor:
        return affine(x, [[1, 0, 0], [0, 0, 0]])

    monkeypatch.setattr(adaptive, "GEOMETRY", {"middle": to_the_middle})
    monkeypatch.setattr(adaptive, "TYPES", {"ten": lambda x: x + 10, "hundred": lambda x: x + 100})
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 1.0]]).expand(MANY, 1, 1, 2)
    y = AdaptiveAugment(["ten", "middle", "hundred"], start=0.3)(x)[:, 0, 0]
    middle = (y[:, 0] == y[:, 1]).float()
    ten, hundred = (y[:, 0] % 100 >= 10).float(), (y[:, 0] >= 100).float()
    traces = torch.stack([middle, ten, hundred])
    assert traces.mean(dim=1).tolist() == pytest.approx([0.3] * 3, abs=5 * 0.46 / MANY**0.5)
    assert (traces.corrcoef() - torch.eye(3)).abs().max() < 5 / MANY**0.5


def test_types_are_applied_in_the_order_given(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = {"turn": lambda x: affine(x, [[0, 1, 0], [-1, 0, 0]])}  # counter-clockwise
    shift = {"down": lambda x: affine(x, [[1, 0, -1], [0, 1, 0]])}
    monkeypatch.setattr(adaptive, "GEOMETRY", turn | shift)
    add = {"add": lambda x: affine(x, [[1, 0, 0, 3], [0, 1, 0, 3], [0, 0, 1, 3]])}
    double = {"double": lambda x: affine(x, [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])}
    monkeypatch.setattr(adaptive, "COLOURS", add | double)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)

    def changed(*types: str) -> Tensor:
        return AdaptiveAugment(types, most=1.0, start=1.0).double()(x)

    def down(y: Tensor) -> Tensor:
        return torch.cat([y[:, :, :1], y[:, :, :-1]], dim=2)  # the border is reflected

    torch.testing.assert_close(changed("turn", "down"), down(x.rot90(1, (2, 3))))
    torch.testing.assert_close(changed("down", "turn"), down(x).rot90(1, (2, 3)))
    torch.testing.assert_close(changed("add", "double"), (x + 3) * 2)
    torch.testing.assert_close(changed("double", "turn", "add"), x.rot90(1, (2, 3)) * 2 + 3)


def test_types_named_twice_have_the_probability_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive, "TYPES", {"ten": lambda x: x + 10})
    torch.manual_seed(0)
    y = AdaptiveAugment(["ten", "ten"], start=0.36)(torch.zeros(MANY, 1, 1, 1)).flatten()
    shares = [(y == value).float().mean().item() for value in (0, 10, 20)]
    assert shares == pytest.approx([0.64, 2 * 0.8 * 0.2, 0.2 * 0.2], abs=5 * 0.48 / MANY**0.5)


@pytest.mark.parametrize("name", [*GEOMETRY, *COLOURS, *TYPES])
def test_without_probability_images_stay_exactly_as_they_are(name: str) -> None:
    x = torch.randn(3, 3, 5, 8)
    assert torch.equal(AdaptiveAugment([name])(x), x)
    assert not torch.equal(AdaptiveAugment([name], most=1.0, start=1.0)(x.repeat(9, 1, 1, 1)), x)


def test_second_derivatives() -> None:
    augment = AdaptiveAugment([*GEOMETRY, *COLOURS, *TYPES], start=0.7).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return augment(x).pow(3)

    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_dtypes_stay(dtype: torch.dtype) -> None:
    augment = AdaptiveAugment([*GEOMETRY, *COLOURS], start=0.7)
    x = torch.randn(4, 1, 5, 6, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        assert augment(x).dtype == dtype


def test_its_state_is_saved() -> None:
    first, second = AdaptiveAugment(start=0.3), AdaptiveAugment()
    first.adapt(torch.tensor(1.0), 500)
    second.load_state_dict(first.state_dict())
    for augment in (first, second):
        augment.adapt(torch.tensor(0.9), 500)
    assert torch.equal(first.probability, second.probability)
    assert torch.equal(first.recent, second.recent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"types": ["zoom"]}, r"types must be one or more of \['mirror', .*'cutout'"),
        ({"types": "color"}, "types must be one or more of"),
        ({"target": 1.0}, "target must lie between -1 and 1; got 1.0"),
        ({"num_images": 0}, "num_images and window must be at least 1; got 0 and 4"),
        ({"window": 0}, "num_images and window must be at least 1"),
        ({"start": 0.9}, "0 <= start <= most <= 1; got 0.9, 0.8"),
        ({"image_range": "byte"}, "image_range must be one of"),
        ({"most": 1.1}, "0 <= start <= most <= 1; got 0.0, 1.1"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveAugment(**options)
