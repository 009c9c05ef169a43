"""How fast features change between latents, where the answer is known."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fpainter.evaluation.metrics.path_length import (
    painted_speeds,
    path_length,
    shares_of,
    spaces_of,
    squared_speeds,
)
from fpainter.evaluation.scorer import Scorer
from fpainter.generators.base import Generator
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from tests.evaluation.toys import TinyExtractor, ToyImages, toy_features
from tests.generators.test_synthesis import make


class Projector(Generator):
    """Images of 8 × 8 pixels whose first pixels are a quarter of the latent, and beyond 1."""

    d_latent = 5

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.25))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return nn.functional.pad(self.scale * z, (0, 187)).view(-1, 3, 8, 8)


class FloatExtractor(TinyExtractor):
    """Its features are all pixels, in 0..1."""

    def of_floats(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        return images.flatten(1) / 255


def test_a_way_that_turns_and_grows() -> None:
    """At share t the speed has the parts l' along and l(t) · angle across the direction."""
    start, end = torch.randn(2, 40, 5, dtype=torch.float64)
    shares = torch.rand(40, dtype=torch.float64)
    before, after = start.norm(dim=1), end.norm(dim=1)
    angle = nn.functional.cosine_similarity(start, end).acos()
    length = (1 - shares) * before + shares * after
    expected = (after - before) ** 2 + (length * angle) ** 2
    found = squared_speeds(lambda z: 3 * z, start, end, shares)
    torch.testing.assert_close(found, 9 * expected, rtol=2e-3, atol=0)
    sampler = Sampler(Projector(), ImageRange("signed"))
    both = torch.cat([start, end]).float()
    painted = painted_speeds(sampler, FloatExtractor().of_floats, both, None, shares, "z")
    # The range -1..1 becomes 0..1.
    torch.testing.assert_close(painted, expected / 64, rtol=1e-2, atol=0)


def test_a_way_between_styles_is_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = make().eval()
    assert spaces_of(generator) == ("z", "w")
    assert spaces_of(Projector()) == ("z",)

    def linear(w: Tensor, noise: str | None = None) -> Tensor:
        return nn.functional.pad(w.flatten(1), (0, 192 - w[0].numel())).view(-1, 3, 8, 8)

    monkeypatch.setattr(generator, "synthesis", linear)
    z = torch.randn(20, generator.d_latent)
    w = generator.mapping(z).detach()
    generator.truncation = 0.5
    expected = (0.5 * (w[10:] - w[:10])).square().sum(dim=(1, 2)).double()
    sampler = Sampler(generator, ImageRange("unit"))
    found = painted_speeds(sampler, FloatExtractor().of_floats, z, None, torch.rand(10), "w")
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)


def test_the_smallest_and_the_largest_are_left_out() -> None:
    speeds = torch.arange(1.0, 1002.0, dtype=torch.float64)[torch.randperm(1001)]
    speeds[speeds == 1001] = 1e9
    found = path_length(speeds)
    assert found.value == pytest.approx(501)  # 11 to 991
    assert found.standard_error == pytest.approx((981**2 - 1) ** 0.5 / 12**0.5 / 981**0.5)
    assert found.num_pairs == 1001
    assert path_length(torch.tensor([4.0], dtype=torch.float64)) == (4, 0, 1)


def test_places_are_spread_and_belong_to_the_pair() -> None:
    shares = shares_of(3, range(2000))
    assert 0 <= shares.min() < 0.01 < 0.99 < shares.max() < 1
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    assert torch.equal(shares_of(3, [7, 5]), shares[[7, 5]])


def test_scores_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    sampler = Sampler(Projector(), ImageRange("signed"))
    one, two = (
        Scorer(
            toy_features(tmp_path, FloatExtractor(), batch_size=size), ToyImages(9),
            ["inception_path_length"], 21,
        )(sampler)
        for size in (64, 3)
    )  # fmt: skip
    assert one.keys() == {"fid", "inception_path_length_z"}
    score, other = one["inception_path_length_z"], two["inception_path_length_z"]
    assert score == pytest.approx(other, rel=1e-4)
    assert score["num_pairs"] == 21
    # 5 numbers: length² · angle² is about 5 · (π/2)², of a quarter of it in half the range.
    assert 0.5 < score["value"] / (5 * 2.5 / 64) < 2
