"""The baseline generator: shapes, gradients, gates, noise, errors."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fpainter.generators.lightgan import LightGANGenerator, Noise, UpBlock
from fpainter.nn.excitation import FrequencyAttention, GlobalContext, cosine_basis

D_LATENT = 6


def build(image_size: Any = 16, **options: Any) -> LightGANGenerator:
    return LightGANGenerator(D_LATENT, image_size, **{"c_max": 16, "blur": True, **options})


def assert_gradients(generator: LightGANGenerator) -> None:
    generator(torch.randn(2, D_LATENT)).square().sum().backward()
    for name, parameter in generator.named_parameters():
        if name.endswith("to_score.bias"):
            continue  # a shift of all scores changes no softmax
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("image_size", "shape"),
    [(8, (8, 8)), (16, (16, 16)), (64, (64, 64)), ((16, 24), (16, 24)), ([48, 96], (48, 96))],
)
def test_shapes_and_gradients(image_size: Any, shape: tuple[int, int], channels: int) -> None:
    generator = build(image_size, channels=channels).eval()
    assert generator(torch.randn(2, D_LATENT)).shape == (2, channels, *shape)
    assert_gradients(generator)


@pytest.mark.parametrize("kind", ["global_context", "frequency"])
def test_gates_from_128_pixels_up(kind: str) -> None:
    assert not build(64, channel_attention=kind).excitations
    generator = build(128, channel_attention=kind).eval()
    assert list(generator.excitations) == ["1"]
    gates = []
    generator.excitations["1"].register_forward_hook(lambda *args: gates.append(args[-1]))
    before: list[Tensor] = []
    generator.ups[4].register_forward_hook(lambda *args: before.append(args[-1]))
    z = torch.randn(2, D_LATENT)
    image = generator(z)
    assert image.shape == (2, 3, 128, 128)
    assert gates[0].shape == (2, 16, 1, 1)
    torch.testing.assert_close(image, generator.to_image(before[0] * gates[0]))
    assert_gradients(generator)


def test_widths() -> None:
    with torch.device("meta"):
        generator = LightGANGenerator(256, 1024, attention_at=(32, 1024))
    shapes = {name: tuple(p.shape) for name, p in generator.named_parameters()}
    widths = [shapes[f"ups.{s}.3.weight"][0] // 2 for s in range(8)]
    assert widths == [512, 512, 256, 128, 64, 32, 3, 3]
    gates = [f"excitations.{s}.to_gates" for s in range(1, 5)]
    assert [shapes[f"{gate}.0.weight"][1] for gate in gates] == [512, 256, 128, 64]  # reads
    assert [shapes[f"{gate}.2.weight"][0] for gate in gates] == [64, 32, 3, 3]  # gates
    assert "excitations.5.to_gates.0.weight" not in shapes
    attends = [not isinstance(layer, nn.Identity) for layer in generator.attentions]
    assert attends == [stage == 3 for stage in range(8)]


def test_noise_starts_without_weight_and_learns() -> None:
    generator = build()
    z = torch.randn(2, D_LATENT)
    torch.testing.assert_close(generator(z), generator(z), rtol=0, atol=0)
    generator(z).square().sum().backward()
    noises = [module for module in generator.modules() if isinstance(module, Noise)]
    assert len(noises) == 2
    for noise in noises:
        assert noise.weight.grad is not None
        assert noise.weight.grad.abs() > 0
        nn.init.ones_(noise.weight)
    assert not torch.equal(generator(z), generator(z))
    x = torch.zeros(2, 3, 4, 4)
    disturbed = noises[0](x, None)
    assert torch.equal(disturbed[:, 0], disturbed[:, 2])
    assert not torch.equal(disturbed[0], disturbed[1])


def test_a_latent_stands_for_one_image_in_evaluation() -> None:
    generator = build().eval()
    for module in generator.modules():
        if isinstance(module, Noise):
            nn.init.ones_(module.weight)
    z = torch.randn(3, D_LATENT)
    together = generator(z)
    torch.testing.assert_close(generator(z[1:2])[0], together[1])
    assert not torch.equal(generator(z.flip(0))[0], together[0])
    nn.init.zeros_(next(m for m in generator.modules() if isinstance(m, Noise)).weight)
    assert not torch.equal(generator(z), together)  # the noise does change the image


class Copies(TorchDispatchMode):
    """Counts tensors that are brought to another device or type."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._to_copy.default
        return func(*args, **kwargs or {})


def test_evaluation_copies_as_often_for_one_image_as_for_many() -> None:
    generator = build().eval().to(torch.bfloat16)  # as far from the CPU's float32 as a GPU is
    counts = []
    for batch in (1, 5):
        z = torch.randn(batch, D_LATENT, dtype=torch.bfloat16)
        with Copies() as copies, torch.no_grad():
            generator(z)
        counts.append(copies.count)
    assert counts == [1 + len(generator.ups)] * 2  # the latents, and each layer's noise


def test_first_map_has_unit_pixels() -> None:
    generator = build()
    first: list[Tensor] = []
    generator.attentions[0].register_forward_pre_hook(lambda _, args: first.append(args[0]))
    generator(torch.randn(2, D_LATENT))
    assert first[0].shape == (2, D_LATENT, 4, 4)
    torch.testing.assert_close(first[0].norm(dim=1), torch.ones(2, 4, 4))


def test_more_padding_on_top_and_left() -> None:
    block = UpBlock(1, 1, blur=False)
    convolution = block[3]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.weight)
    convolution.weight.data[0, 0, 2, 2] = 1  # the tap that leaves the map in its place
    x = torch.randn(1, 1, 4, 5)
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    got = convolution(block[2](doubled))[:, :1] - convolution.bias[0]
    torch.testing.assert_close(got, doubled)


def test_blur_smooths_each_doubling() -> None:
    torch.manual_seed(1)
    smooth = build(32, attention_at=())
    torch.manual_seed(1)
    rough = build(32, attention_at=(), blur=False)
    rough.load_state_dict(smooth.state_dict())
    z = torch.randn(2, D_LATENT)
    assert not torch.allclose(smooth(z), rough(z), atol=1e-3)


def test_initialisation() -> None:
    generator = LightGANGenerator(64, 16, c_max=64)
    weight = generator.state_dict()["ups.1.3.weight"]
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 16)), rel=0.05)


def test_global_context_is_the_mean_when_scores_are_equal() -> None:
    gate = GlobalContext(5, 4)
    nn.init.zeros_(gate.to_score.weight)
    x = torch.randn(2, 5, 3, 6)
    expected = gate.to_gates(x.mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(gate(x), expected)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("length", [8, 11, 16])
def test_cosine_basis(length: int) -> None:
    basis = cosine_basis(length)
    torch.testing.assert_close(basis @ basis.T, torch.eye(length), rtol=0, atol=1e-12)
    # A cosine of frequency 3 at half-integer points has all its energy in coefficient 3.
    wave = torch.tensor([math.cos(math.pi * 3 * (i + 0.5) / length) for i in range(length)])
    expected = torch.zeros(length)
    expected[3] = math.sqrt(length / 2)
    torch.testing.assert_close(basis @ wave, expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_frequency_attention_reads_one_coefficient_per_channel() -> None:
    height, width = 8, 10
    gate = FrequencyAttention(32, 3, (height, width))
    x = torch.randn(2, 32, height, width)
    coefficients = torch.zeros(2, 32, 1, 1)
    for channel in range(32):
        group = channel // 2
        f, g = (0, group) if group < 8 else (group - 8, 0)
        for i in range(height):
            for j in range(width):
                scale = math.sqrt((1 + (f > 0)) / height) * math.sqrt((1 + (g > 0)) / width)
                wave = math.cos(math.pi * f * (i + 0.5) / height)
                wave *= math.cos(math.pi * g * (j + 0.5) / width)
                coefficients[:, channel, 0, 0] += scale * wave * x[:, channel, i, j]
    torch.testing.assert_close(gate(x), gate.to_gates(coefficients), rtol=1e-10, atol=1e-12)
    assert not {"rows", "cols"} & gate.state_dict().keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": (64, 65)}, "64×65"),
        ({"image_size": (64, 72)}, "64×72"),
        ({"image_size": 7}, "7×7"),
        ({"image_size": 2}, "2×2"),
        ({"image_size": "64"}, "image_size"),
        ({"d_latent": 0}, "d_latent must be at least 1; got 0"),
        ({"channels": 0}, "channels must be at least 1; got 0"),
        ({"c_max": 0}, "c_max must be at least 1; got 0"),
        ({"channel_attention": "fca"}, r"\['frequency', 'global_context'\]; got 'fca'"),
        ({"channel_attention": "frequency", "c_max": 24}, "c_max must be a multiple of 16.*24"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LightGANGenerator(**options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, 3, (16, 16)), "c_in must be a positive multiple of 16; got 8"),
        ((24, 3, (16, 16)), "got 24"),
        ((16, 3, (16, 4)), "16×4"),
    ],
)
def test_frequency_attention_errors(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrequencyAttention(*arguments)
