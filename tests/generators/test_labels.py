"""Painters that take labels."""

import pytest
import torch
from hydra.utils import instantiate

from fpainter.generators.lightgan import LightGANGenerator
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.selection import Selection
from fpainter.pictures.walk import walk_images
from tests.test_configs import BASELINES, TINY, TINY_LATENTS, TINY_PAINTER, Compose, direct_options
from tests.test_configs import compose as compose
from tests.training.toys import D_LATENT, painter


@pytest.mark.parametrize("name", [n for n in direct_options("model") if n not in BASELINES])
def test_every_painter_listens_to_labels(name: str, compose: Compose) -> None:
    generator, label = (
        instantiate(
            compose(f"model={name}", *TINY_PAINTER, "model.generator.num_labels=3").model.generator
        ),
        torch.tensor([0, 2]),
    )
    z = torch.randn(1, 6).expand(2, -1)
    images = generator(z, label)
    assert not torch.allclose(images[0], images[1])
    torch.testing.assert_close(generator.fakes(z, label).images[-2:], images)
    images.square().sum().backward()
    gradient = generator.join_label.embedding.weight.grad
    assert (gradient.abs().sum(dim=1) > 0).tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["stylegan2", "gansformer_duplex", "sagan"])
def test_both_players_of_a_baseline_listen_to_labels(name: str, compose: Compose) -> None:
    latents = TINY_LATENTS.get(name.split("_")[0], [])
    classes = [f"model.{player}.num_labels=3" for player in ("generator", "discriminator")]
    model = instantiate(compose(f"model={name}", *TINY, *latents, *classes).model)
    generator, label = model.generator.eval(), torch.tensor([0, 2])
    images = generator(torch.randn(1, 6).expand(2, -1), label)
    assert not torch.allclose(images[0], images[1])
    (logits,) = model.discriminator(images[:1].expand(2, -1, -1, -1), label=label).logits
    assert not torch.allclose(logits[0], logits[1])


def test_without_labels_nothing_is_new() -> None:
    """No parameter, and no draw of random numbers: what follows is drawn as ever."""
    torch.manual_seed(3)
    plain = painter()
    after = torch.rand(1)
    torch.manual_seed(3)
    labelled = painter(num_labels=4)
    assert not torch.equal(after, torch.rand(1))
    assert labelled.state_dict().keys() - plain.state_dict().keys() == {
        "join_label.embedding.weight"
    }
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, labelled.state_dict()[name])


def test_a_label_is_the_sum_of_latent_and_embedding() -> None:
    generator, z = painter(num_labels=2), torch.randn(3, D_LATENT)
    label = torch.tensor([1, 0, 1])
    embedding = generator.join_label.embedding
    assert embedding is not None
    plain = painter()
    plain.load_state_dict(generator.state_dict(), strict=False)
    torch.testing.assert_close(generator(z, label), plain(z + embedding.weight[label]))


@pytest.mark.parametrize(
    ("num_labels", "label", "message"),
    [(0, [0], "built without"), (2, None, "num_labels=2: give it a label for each image")],
)
def test_labels_that_are_missing_or_not_wanted(
    num_labels: int, label: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        painter(num_labels=num_labels)(torch.randn(1, D_LATENT), label and torch.tensor(label))
    with pytest.raises(ValueError, match="num_labels must be at least 0; got -1"):
        painter(num_labels=-1)


def test_the_baseline_listens_too() -> None:
    generator = LightGANGenerator(6, 16, c_max=16, num_labels=2)
    z = torch.randn(1, 6).expand(4, -1)
    images = generator(z, torch.tensor([0, 0, 1, 1]))
    assert not torch.allclose(images[0], images[2])


def test_classes_by_name_or_number() -> None:
    generator = painter(num_labels=3)
    assert [generator.label_of(name) for name in (0, "2")] == [0, 2]
    generator.class_names = ("1", "0", "cat")
    assert [generator.label_of(name) for name in (0, "1", 2, "cat")] == [1, 0, 2, 2]
    for name in ("dog", -1, 3):
        with pytest.raises(
            ValueError, match=rf"{name}: must be one of 1, 0, cat, or a number in 0..2"
        ):
            generator.label_of(name)
    with pytest.raises(ValueError, match="trained without labels"):
        painter().label_of(0)


def test_classes_take_turns_unless_one_is_chosen() -> None:
    sampler = Sampler(painter(num_labels=3).eval(), ImageRange("signed"))
    selection = Selection(sampler, 0, (4, 0, 2))
    assert [int(label) for label in selection.labels()] == [1, 0, 2]  # type: ignore[union-attr]
    z = selection.latents()
    expected = sampler(z, torch.tensor([1, 0, 2]))
    assert torch.equal(selection.images()["images"], expected)
    assert torch.equal(walk_images(selection, 1)[::2], expected)
    chosen = Selection(sampler, 0, (4, 0, 2), label=1).images()["images"]
    assert torch.equal(chosen, sampler(z, torch.tensor([1, 1, 1])))
