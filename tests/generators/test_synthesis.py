"""Generators that map latents to styles and grow an image under them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.generators.synthesis.mapping import MappingNetwork
from fpainter.generators.synthesis.merging import Merging
from fpainter.generators.synthesis.network import SynthesisNetwork
from fpainter.generators.synthesis.settings import MERGES, Attention, Layers, Merge
from fpainter.nn.positions import KINDS


def make(
    image_size: Any = 16,
    num_local: int = 0,
    num_global: int = 1,
    mapping: dict[str, Any] | None = None,
    **options: Any,
) -> SynthesisGenerator:
    """Build a small generator, its latents and styles of 8 entries each."""
    layers = {k: options.pop(k) for k in list(options) if k in Layers.__dataclass_fields__}
    own = ("truncation", "num_labels")
    rest = {k: options.pop(k) for k in list(options) if k.startswith(own)}
    d_latent = 8 * (num_local + num_global)
    counts = num_local, num_global
    return SynthesisGenerator(
        d_latent,
        MappingNetwork(d_latent, 8, 2, *counts, **(mapping or {})),
        SynthesisNetwork(image_size, 3, 8, *counts, 64, 6, layers=Layers(**layers), **options),
        **rest,
    )


def gansformer(**attention: Any) -> SynthesisGenerator:
    among: dict[str, Any] = {"attention": Attention(), "residual": True, "num_layers": 3}
    d_latent = 8 * 4
    return SynthesisGenerator(
        d_latent,
        MappingNetwork(d_latent, 8, num_local=3, **among),
        SynthesisNetwork(
            16, 3, 8, 3, 1, 64, 6, "resnet", layers=Layers(attention=Attention(**attention))
        ),
    )


def latents(generator: SynthesisGenerator, num: int = 3) -> Tensor:
    return torch.randn(num, generator.d_latent)


def strengthen_noise(generator: nn.Module) -> None:
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(1.0)


MODELS = {
    "skip": lambda: make(),
    "resnet": lambda: make(architecture="resnet", clamp=4.0),
    "orig": lambda: make(architecture="orig", last_convolution=True),
    "not square": lambda: make((24, 40)),
    "gan": lambda: make(stem="latent", modulated=False),
    "sagan": lambda: make(32, stem="latent", modulated=False, self_attention_at=16),
    "k-gan": lambda: make(
        num_global=3, stem="latent", architecture="resnet", merge=Merge("softmax", 8)
    ),
    "simplex": lambda: gansformer(integration="mul", norm="layer"),
    "both": lambda: gansformer(integration="both", norm="instance", gate_from=True, gate_to=True),
    "duplex": lambda: gansformer(kmeans_iterations=1, num_heads=2),
    "k-means": lambda: gansformer(kmeans_iterations=3),
    **{
        kind: lambda kind=kind: gansformer(positions=kind)  # type: ignore[misc]
        for kind in KINDS
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name: str) -> None:
    generator = MODELS[name]()
    image = generator.fakes(latents(generator)).images
    assert image.shape == (3, 3, *((24, 40) if name == "not square" else [image.shape[2]] * 2))
    image.square().sum().backward()
    for parameter, tensor in generator.named_parameters():
        assert tensor.grad is not None, parameter
        # A number that all scores share changes no softmax; noise differs from zero at random.
        if not parameter.endswith(("to_key.bias", "key_position.bias")):
            assert tensor.grad.abs().sum() > 0, parameter


@pytest.mark.parametrize("name", MODELS)
def test_in_evaluation_a_latent_is_an_image(name: str) -> None:
    generator = MODELS[name]().eval()
    strengthen_noise(generator)
    z = latents(generator)
    alone = torch.cat([generator(row[None]) for row in z])
    torch.testing.assert_close(generator(z), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["resnet", "both", "k-means"])
def test_the_length_of_a_path_has_a_gradient(name: str) -> None:
    """Of the derivative of the image by the style, along a direction, against a difference."""
    generator = MODELS[name]().eval()
    w = generator.mapping(latents(generator)).detach()
    step, noise = 1e-5 * torch.randn_like(w), torch.randn(3, 3, 16, 16)

    def length(w: Tensor) -> Tensor:
        total = (generator.synthesis(w) * noise).sum()
        return torch.autograd.grad(total, w, create_graph=True)[0].square().sum()

    w.requires_grad_()
    (gradient,) = torch.autograd.grad(length(w), w)
    difference = (length(w + step) - length(w - step)) / 2
    torch.testing.assert_close((gradient * step).sum(), difference, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["skip", "both", "duplex", "k-gan"])
def test_narrow_numbers(name: str) -> None:
    generator = MODELS[name]()
    z = latents(generator)
    with torch.autocast("cpu", torch.bfloat16):
        image = generator(z)
    image.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


def test_residual_mappings_begin_with_styles_of_unit_scale() -> None:
    residual = MappingNetwork(17 * 32, 32, 9, 16, residual=True)
    for network in (residual, MappingNetwork(32, 32)):
        rms = network(torch.randn(64, network.d_latent)).square().mean().sqrt()
        assert 0.5 < rms < 2, "or first images are far outside of [-1, 1], and nothing trains"


@pytest.mark.parametrize("noise", ["random", "constant", "none"])
def test_noise(noise: str) -> None:
    generator = make(noise=noise)
    strengthen_noise(generator)
    z = latents(generator)
    assert torch.equal(generator(z), generator(z)) == (noise != "random")
    w = generator.mapping(z)
    silent = generator.synthesis(w, "none")
    assert torch.equal(generator.eval()(z), silent) == (noise == "none")


def test_styles_of_two_latents_are_mixed() -> None:
    generator = make(noise="constant")
    w, other = generator.mapping(latents(generator)), generator.mapping(latents(generator))
    assert w.shape == (3, generator.num_styles, 8)
    assert torch.equal(generator.mix(w, other, 0), other)
    assert torch.equal(generator.mix(w, other, generator.num_styles), w)
    mixed = generator.synthesis(generator.mix(w, other, generator.num_styles - 1))
    plain = generator.synthesis(w)
    assert not torch.equal(mixed, plain)  # the last style is that of the image's colours


def test_the_average_of_styles_follows_in_the_discriminators_pass_only() -> None:
    generator = make()
    z = latents(generator, 50)
    generator(z)
    generator.eval()
    with torch.no_grad():
        generator(z)
    assert torch.equal(generator.w_average, torch.zeros(8))
    generator.train()
    with torch.no_grad():
        generator(z)
    mean = generator.mapping(z)[:, 0].mean(dim=0)
    torch.testing.assert_close(generator.w_average, 0.002 * mean)


def test_truncation() -> None:
    generator = make(truncation=0.25, truncation_cutoff=2).eval()
    generator.w_average.normal_()
    w = generator.mapping(latents(generator))
    near = generator.truncate(w)
    torch.testing.assert_close(
        near[:, :2], generator.w_average + 0.25 * (w[:, :2] - generator.w_average)
    )
    assert torch.equal(near[:, 2:], w[:, 2:])
    generator.truncation_cutoff = None
    generator.truncation = 0.0
    images = generator(latents(generator))
    torch.testing.assert_close(images[0], images[1])


@pytest.mark.parametrize("name", ["simplex", "duplex", "k-means", "skip"])
def test_attention_maps(name: str) -> None:
    generator = MODELS[name]().eval()
    maps = generator.attention_maps(generator.mapping(latents(generator)))
    if name == "skip":
        assert maps.shape == (3, 0, 0, 1, 16, 16)
        return
    assert maps.shape == (3, 3, 5, 2 if name == "duplex" else 1, 16, 16)
    torch.testing.assert_close(maps.sum(dim=1), torch.ones_like(maps[:, 0]))
    assert torch.equal(maps[..., ::4, ::4][:, :, 0], maps[..., 3::4, 3::4][:, :, 0])


def test_some_maps_attend() -> None:
    generator = gansformer(from_side=8, to_side=8)
    assert generator.attention_maps(generator.mapping(latents(generator))).shape[2] == 2


def test_labels() -> None:
    generator = make(mapping={"num_labels": 4}, num_labels=4).eval()
    z, label = latents(generator), torch.arange(3)
    assert not torch.allclose(generator(z, label), generator(z, label.flip(0)))
    with pytest.raises(ValueError, match="num_labels=4: give it a label"):
        generator(z)


@pytest.mark.parametrize("kind", MERGES)
def test_merging_against_the_formula(kind: str) -> None:
    merging, x, styles = Merging(kind, 2, 3), torch.randn(6, 2, 4, 5), torch.randn(6, 7, 8)
    merged, merged_styles = merging(x, styles)
    score = torch.zeros(6, 4, 5) if merging.to_score is None else merging.to_score(x)[:, 0]
    for image in range(2):
        maps, scores = x[3 * image : 3 * image + 3], score[3 * image : 3 * image + 3]
        below = torch.maximum(scores[0], scores[1])
        middle, front = (scores[1] - scores[0]).sigmoid(), (scores[2] - below).sigmoid()
        back = 1 - middle
        weights = {
            "softmax": scores.exp() / scores.exp().sum(dim=0),
            "sum": torch.ones_like(scores),
            "max": (scores == scores.amax(dim=0)).float(),
            "leaves": torch.stack([back * (1 - front), middle * (1 - front), front]),
        }[kind]
        torch.testing.assert_close(merged[image], (maps * weights[:, None]).sum(dim=0))
        shares = weights.mean(dim=(1, 2))
        expected = torch.einsum("k,kld->ld", shares, styles[3 * image : 3 * image + 3])
        torch.testing.assert_close(merged_styles[image], expected)


@pytest.mark.parametrize("at", [4, 8, None])
@pytest.mark.parametrize("kind", ["softmax", "sum", "max"])
def test_the_order_of_generators_does_not_count(kind: str, at: int | None) -> None:
    generator = make(num_global=3, architecture="orig", merge=Merge(kind, at)).eval()
    z = latents(generator)
    turned = z.unflatten(1, (3, 8)).flip(1).flatten(1)
    torch.testing.assert_close(generator(z), generator(turned), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make(20, num_local=-1), "num_local at least 0"),
        (lambda: MappingNetwork(32, 8, num_local=4), "d_latent must be a multiple of the 5"),
        (lambda: MappingNetwork(32, 8, residual=True), "residual layers need latents"),
        (lambda: make(36), "image_size must be at least 8 and halve evenly"),
        (lambda: make([64, 33]), "image_size must be at least 8 and halve evenly"),
        (lambda: make(architecture="unet"), "architecture must be one of"),
        (lambda: make(stem="noise"), "stem must be one of"),
        (lambda: make(noise="const"), "noise must be one of"),
        (lambda: Merge("mean"), "kind must be one of"),
        (lambda: make(num_local=2, num_global=2, merge=Merge(at=None)), "local latents or several"),
        (lambda: make(num_global=2), "merge is for several generators"),
        (lambda: make(num_global=2, merge=Merge(at=8)), "architecture resnet or orig"),
        (
            lambda: make(num_global=2, architecture="orig", merge=Merge(at=9)),
            r"merge.at must be one of \[4, 8, 16\]",
        ),
        (lambda: make(self_attention_at=30), "self_attention_at must be a power of two"),
        (lambda: gansformer(num_heads=4), "num_heads must divide the 6 channels"),
        (lambda: gansformer(kmeans_iterations=-1), "kmeans_iterations must be 0 or more"),
        (
            lambda: SynthesisGenerator(16, MappingNetwork(8, 8), SynthesisNetwork(16, 3, 8)),
            "must be those of mapping",
        ),
    ],
)  # fmt: skip
def test_impossible_settings_are_named(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
