"""Latents that are looked for."""

import pytest
import torch
from torch import Tensor, nn

from fpainter.evaluation.likeness import Likeness
from fpainter.generators.base import Generator
from fpainter.generators.sampler import Sampler
from fpainter.generators.synthesis.styles import FromStyles
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.latents_file import StoredLatents
from fpainter.pictures.projection import Projection, Search, default_space, project
from fpainter.pictures.styles import from_styles
from tests.generators.test_synthesis import gansformer, make


class Mosaic(Generator):
    """Four fields as bright as the latent says; label i adds i / 4."""

    d_latent = 4

    def __init__(self, num_labels: int = 0) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.scale = nn.Parameter(torch.tensor(0.1), requires_grad=False)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        fields = 0.2 + self.scale * z + (0 if label is None else label[:, None] / 4)
        return fields.view(-1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)


def look_for(
    sampler: Sampler, target: Tensor, label: int | None = None, **how: object
) -> Projection:
    search = Search(**{"prior": 0.0, **how})  # type: ignore[arg-type]
    return project(sampler, Likeness(target, sampler.image_range), search, label)


def test_the_latent_of_a_picture() -> None:
    sampler = Sampler(Mosaic(), ImageRange("unit"))
    z = torch.tensor([[0.5, -1.0, 2.0, 0.0]])
    target = sampler(z)[0]
    found = look_for(sampler, target, num_candidates=8)
    torch.testing.assert_close(found.stored.latents, z, atol=0.03, rtol=0)  # a byte is 0.04
    assert torch.equal(found.image, target)
    assert not torch.equal(found.start, target)
    assert len(found.losses) == 301
    again = look_for(sampler, target, num_candidates=8)
    assert torch.equal(found.stored.latents, again.stored.latents)
    other = look_for(sampler, target, num_candidates=8, seed=1)
    assert not torch.equal(other.start, found.start)
    # A strong wish for short latents.
    short = look_for(sampler, target, num_candidates=8, prior=1.0)
    assert float(short.stored.latents.square().mean()) < 0.01


def test_the_best_on_the_way_is_kept() -> None:
    sampler = Sampler(Mosaic(), ImageRange("unit"))
    target = sampler(torch.tensor([[0.5, -1.0, 2.0, 0.0]]))[0]
    found = look_for(sampler, target, lr=1e4, num_steps=3)
    assert max(found.losses) > found.losses[0] == min(found.losses)
    assert torch.equal(found.image, found.start)


def test_the_class_of_the_best_candidate() -> None:
    sampler = Sampler(Mosaic(num_labels=3), ImageRange("unit"))
    target = sampler(torch.zeros(1, 4), torch.tensor([2]))[0]
    found = look_for(sampler, target, num_steps=1)
    assert found.stored.labels is not None
    assert found.stored.labels.tolist() == [2]
    asked = look_for(sampler, target, label=1, num_candidates=1, num_steps=1)
    assert asked.stored.labels is not None
    assert asked.stored.labels.tolist() == [1]


@pytest.mark.parametrize("space", ["w", "w+"])
@pytest.mark.parametrize("kind", [make, gansformer])
def test_styles_of_a_picture(kind: type, space: str) -> None:
    sampler = Sampler(kind().eval().requires_grad_(False), ImageRange("signed"))
    assert default_space(sampler) == "w"
    target = sampler(torch.randn(1, sampler.d_latent))[0]
    found = look_for(sampler, target, space=space, num_steps=40, num_candidates=4)
    assert min(found.losses) < 0.5 * found.losses[0]
    styled = from_styles(sampler)
    assert isinstance(styled.generator, FromStyles)
    assert torch.equal(styled(found.stored.latents)[0], found.image)
    w = found.stored.latents.view(-1, *found.shape[1:])
    assert w.shape == (styled.generator.generator.num_styles, styled.generator.d_style)
    assert (w == w[:1]).all() == (space == "w")


def test_settings_that_make_no_sense() -> None:
    for wrong in ({"space": "q"}, {"lr": 0}, {"lr": float("nan")}, {"prior": -1}, {"prior": "x"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Search(**wrong)
    sampler = Sampler(Mosaic(), ImageRange("unit"))
    with pytest.raises(ValueError, match="Mosaic has no styles"):
        look_for(sampler, torch.zeros(1, 8, 8, dtype=torch.uint8), space="w+")
    with pytest.raises(ValueError, match="a different one"):
        StoredLatents((0, 0), torch.zeros(2, 4))
