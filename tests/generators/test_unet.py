"""The U-Net, alone and behind a painter."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fpainter.generators.input_generators import ProjectLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.refiners import UNetRefiner
from fpainter.generators.sampler import Sampler
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.generators.supervision import Supervision
from fpainter.generators.unet import PixelAttention, ResidualBlock, UNet
from fpainter.nn.image_range import ImageRange

STEPS, D_LATENT, D_HIDDEN, SIZE = 5, 6, 8, (8, 12)


def build(
    supervision: Supervision | None = None, freeze: bool = False, **refiner: Any
) -> FastWeightPainter:
    return FastWeightPainter(
        STEPS,
        D_LATENT,
        D_HIDDEN,
        SIZE,
        3,
        ProjectLatent(D_LATENT, STEPS, 3, 10),
        LSTMProcessor(10, D_HIDDEN, 1, D_LATENT),
        InstructionHead(D_HIDDEN, SIZE, gain=5.0),  # large enough for a tanh to show
        DeltaRule(),
        refiner=UNetRefiner(SIZE, width=8, **refiner),
        supervision=supervision,
        freeze_painter=freeze,
    )


def reached(module: nn.Module) -> dict[str, bool]:
    """Tell for each parameter whether a gradient got there."""
    return {
        name: parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        for name, parameter in module.named_parameters()
    }


@pytest.mark.parametrize(
    ("size", "channels", "options"),
    [
        ((8, 12), 3, {"width": 8}),
        ((12, 8), 1, {"width": 6, "num_groups": 3}),
        ((8, 8), 4, {}),
        ((7, 5), 3, {"width": 2, "num_groups": 1, "multipliers": [1]}),
        ((6, 4), 3, {"width": 4, "num_groups": 2, "multipliers": [3, 2]}),
    ],
)
def test_gradient_reaches_every_parameter(
    size: tuple[int, int], channels: int, options: dict[str, Any]
) -> None:
    unet = UNet(size, channels, **options)
    image = torch.randn(2, channels, *size, requires_grad=True)
    refined = unet(image)
    assert refined.shape == image.shape
    (refined * torch.randn_like(refined)).sum().backward()
    assert all(reached(unet).values()), reached(unet)
    assert image.grad is not None
    assert image.grad.abs().min() > 0


def test_size_of_the_paper() -> None:
    """Appendix C.1 of the paper: three blocks, 8 M parameters."""
    with torch.device("meta"):
        unet = UNet(64)
    assert sum(parameter.numel() for parameter in unet.parameters()) == 7_985_475
    assert len(unet.downs) == len(unet.ups) == 3


def test_two_stages_by_hand() -> None:
    """Maps from the way down stand after those from below, as in the released code's weights."""
    unet = UNet((8, 12), width=8, multipliers=(1, 2), num_groups=2)
    image = torch.randn(2, 3, 8, 12)
    stem = unet.stem(image)
    fine = unet.downs[0](stem)
    coarse = unet.downs[1](unet.downsample[0](fine))
    x = unet.ups[0](torch.cat([unet.middle(coarse), coarse], dim=1))
    x = unet.ups[1](torch.cat([unet.upsample[0](x), fine], dim=1))
    expected = unet.to_image(unet.last(torch.cat([x, stem], dim=1)))
    torch.testing.assert_close(unet(image), expected)


def test_a_residual_block_adds_its_input_last() -> None:
    block, x = ResidualBlock(4, 6, num_groups=2), torch.randn(2, 4, 5, 3)
    inner = x
    for convolve in (block.first, block.second):
        convolution, norm, _ = convolve
        inner = torch.nn.functional.silu(norm(convolution(inner)))
    torch.testing.assert_close(block(x), inner + block.shortcut(x))


@pytest.mark.parametrize("name", ["linear", "softmax"])
@pytest.mark.usefixtures("float64")
def test_attention_against_its_formula(name: str) -> None:
    """Both attentions, head by head as sums over pixels."""
    layer = PixelAttention(6, linear=name == "linear", num_heads=2, d_head=3)
    x = torch.randn(2, 6, 3, 4)
    q, k, v = layer.to_qkv(layer.norm(x)).flatten(2).unflatten(1, (3, 2, 3)).unbind(1)
    heads: list[Tensor] = []
    for head in range(2):
        queries, keys, values = q[:, head], k[:, head], v[:, head]  # [B D P]
        if name == "linear":
            context = torch.einsum("bdp,bep->bde", keys.softmax(2), values)
            heads.append(torch.einsum("bde,bdp->bep", context, queries.softmax(1)) / 3**0.5)
        else:
            weights = (torch.einsum("bdp,bdr->bpr", queries, keys) / 3**0.5).softmax(2)
            heads.append(torch.einsum("bpr,bdr->bdp", weights, values))
    attended = torch.cat(heads, dim=1).unflatten(2, (3, 4))
    torch.testing.assert_close(layer(x), x + layer.to_out(attended))


def test_refiner_reads_the_activated_canvas() -> None:
    canvas = 3 * torch.randn(2, 3, *SIZE)
    refiner = UNetRefiner(SIZE, width=8, input_activation="tanh")
    torch.testing.assert_close(refiner(canvas), refiner.unet(canvas.tanh()))
    refiner.input_activation = "identity"
    torch.testing.assert_close(refiner(canvas), refiner.unet(canvas))


@pytest.mark.parametrize("detach", [False, True])
def test_detach_input(detach: bool) -> None:
    painter = build(detach_input=detach, input_activation="tanh")
    painter(torch.randn(2, D_LATENT)).square().sum().backward()
    for name, got in reached(painter).items():
        assert got == (name.startswith("refiner.") or not detach), name


def test_unrefined_images_are_judged_too() -> None:
    painter = build(Supervision(before_refiner=True), detach_input=True)
    z = torch.randn(2, D_LATENT)
    images, loss = painter.fakes(z)
    assert loss is None
    torch.testing.assert_close(images, torch.cat([painter.image_at(z, STEPS), painter(z)]))
    # The refiner is cut off, and still the painter learns: from its own images.
    images.square().sum().backward()
    assert all(reached(painter).values()), reached(painter)


def test_matching_pulls_the_painter_and_not_the_refiner() -> None:
    painter = build(Supervision(match_refined=2.0))
    z = torch.randn(2, D_LATENT)
    images, loss = painter.fakes(z)
    torch.testing.assert_close(images, painter(z))
    assert loss is not None
    torch.testing.assert_close(loss, 2 * (painter.image_at(z, STEPS) - painter(z)).square().mean())
    loss.backward()
    assert reached(painter) == {
        name: not name.startswith("refiner") for name, _ in painter.named_parameters()
    }


def test_a_frozen_painter_leaves_the_refiner_to_learn() -> None:
    painter = build(freeze=True)
    painter(torch.randn(2, D_LATENT)).square().sum().backward()
    assert reached(painter) == {
        name: name.startswith("refiner") for name, _ in painter.named_parameters()
    }


def test_fakes_are_the_images_by_default() -> None:
    painter = build()
    z = torch.randn(2, D_LATENT)
    images, loss = painter.fakes(z)
    torch.testing.assert_close(images, painter(z))
    assert loss is None


def test_samplers_before_and_after_the_refiner() -> None:
    painter, z = build(), torch.randn(2, D_LATENT)
    sampler = Sampler(painter, ImageRange("signed"))
    before = sampler.before_refiner()
    assert before is not None
    with torch.no_grad():
        assert torch.equal(sampler(z), ImageRange("signed").to_bytes(painter(z)))
        assert torch.equal(before(z), ImageRange("signed").to_bytes(painter.image_at(z, STEPS)))
    assert painter.training  # as before it was sampled
    painter.refines = False
    assert sampler.before_refiner() is None


def test_half_precision_keeps_its_type() -> None:
    everything = Supervision(before_refiner=True, num_canvases=2, match_refined=1.0)
    painter = build(everything).to(torch.bfloat16)
    images, loss = painter.fakes(torch.randn(2, D_LATENT, dtype=torch.bfloat16))
    assert images.dtype == torch.bfloat16
    assert loss is not None
    assert loss.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"supervision": Supervision(before_refiner=True)},
            "before_refiner=True.* needs a refiner",
        ),
        ({"supervision": Supervision(match_refined=1.0)}, "match_refined=1.0.* needs a refiner"),
        ({"freeze_painter": True}, "freeze_painter needs a refiner; got none"),
        ({"supervision": Supervision(num_canvases=6)}, "at most num_steps=5; got 6"),
        ({"refiner": UNetRefiner(8, width=8)}, r"refiner.image_size is \(8, 8\)"),
        ({"refiner": UNetRefiner(SIZE, 1, width=8)}, "refiner.channels is 1, but .* needs 3"),
    ],
)
def test_what_a_painter_cannot_do_is_named(options: dict[str, Any], words: str) -> None:
    parts = build()
    with pytest.raises(ValueError, match=words):
        FastWeightPainter(
            STEPS, D_LATENT, D_HIDDEN, SIZE, 3, parts.input_generator, parts.sequence_processor,
            parts.head, parts.learning_rule, **options,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": [6, 8]}, r"multiple of 4 .* got height 6 and width 8"),
        ({"image_size": [8, 10]}, r"multiple of 4 .* got height 8 and width 10"),
        ({"multipliers": []}, r"multipliers must be .* got \(\)"),
        ({"multipliers": [1, 0]}, r"multipliers must be .* got \(1, 0\)"),
        ({"width": 0}, "width must be a positive int; got 0"),
        ({"num_groups": -1}, "num_groups must be a positive int; got -1"),
        ({"width": 12}, r"multiple of num_groups=8; got 12 \(width=12"),
        ({"input_activation": "than"}, "input_activation must be one of"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        UNetRefiner(**({"image_size": 8} | options))
