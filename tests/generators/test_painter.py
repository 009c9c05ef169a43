"""The painter's parts, and what they must agree about."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fpainter.generators.canvas import LearnedCanvas
from fpainter.generators.input_generators import ProjectLatent, RepeatLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, LearningRule, SumRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.nn.cosine import cosine_basis
from fpainter.nn.interpolation import isometric_interpolation

STEPS, D_LATENT, D_HIDDEN = 5, 6, 8


def build(
    size: tuple[int, int] = (7, 4),
    channels: int = 3,
    repeat: bool = False,
    rule: Any = None,
    learned: bool = False,
    embedding: bool = False,
    **head: Any,
) -> FastWeightPainter:
    inputs: RepeatLatent | ProjectLatent = (
        RepeatLatent(D_LATENT, STEPS, embedding)
        if repeat
        else ProjectLatent(D_LATENT, STEPS, 3, 10, "tanh", embedding)
    )
    ordering = rule if isinstance(rule, LearningRule) else None
    return FastWeightPainter(
        STEPS,
        D_LATENT,
        D_HIDDEN,
        size,
        channels,
        inputs,
        LSTMProcessor(inputs.d_input, D_HIDDEN, 2, D_LATENT, state_kaiming=repeat),
        InstructionHead(D_HIDDEN, size, channels, learning_rule=ordering, **head),
        rule or DeltaRule(),
        LearnedCanvas(size, channels) if learned else None,
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repeat": True, "embedding": True},
        {"rule": SumRule(), "rate": "none"},
        {"rate": "row", "learned": True, "d_wide": 9, "embedding": True},
        {"strokes": 3, "basis": "cosine", "key_activation": "unit"},
        {"strokes": 2, "basis": "scales", "scales": [2, 9], "rate": "row"},
        {"value_activation": "tanh", "rate_activation": "identity", "key_activation": "identity"},
    ],
    ids=["project", "repeat", "sum", "row", "strokes", "scales", "free"],
)
def test_gradient_reaches_every_parameter(options: dict[str, Any], channels: int) -> None:
    painter = build(channels=channels, **options)
    image = painter(torch.randn(2, D_LATENT))
    assert image.shape == (2, channels, 7, 4)
    assert image.abs().max() < 1
    image.square().sum().backward()
    for name, parameter in painter.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_first_rate() -> None:
    z = torch.randn(2, D_LATENT)
    painter = build()
    applied = painter.paint(z)
    painter.learning_rule = DeltaRule(first_rate="one")
    one = painter.paint(z)
    rate = applied.instructions["rate"][:, :, 0, None]
    torch.testing.assert_close(applied.updates()[:, 0], rate * one.updates()[:, 0])
    with_canvas = build(learned=True)
    before = with_canvas.paint(z).updates()
    with_canvas.learning_rule = DeltaRule(first_rate="one")
    torch.testing.assert_close(with_canvas.paint(z).updates(), before)


def test_painting_ends_in_the_image() -> None:
    painter = build(learned=True)
    z = torch.randn(3, D_LATENT)
    painting = painter.paint(z)
    assert painting.num_steps == STEPS
    torch.testing.assert_close(painter.activate(painting.canvases()[:, -1]), painter(z))
    torch.testing.assert_close(
        painting.canvases([0])[:, 0] + painting.updates().sum(1), painting.image()
    )


def test_refiner_comes_between_the_canvas_and_the_activation() -> None:
    painter = build()
    z = torch.randn(2, D_LATENT)
    plain = painter.paint(z).image()
    painter.refiner = nn.Hardshrink(lambd=0.05)
    torch.testing.assert_close(painter(z), nn.functional.hardshrink(plain, 0.05).tanh())
    torch.testing.assert_close(painter.activate(plain), plain.tanh())


def test_softmax_keys_are_distributions() -> None:
    key = build().paint(torch.randn(2, D_LATENT)).instructions["key"]
    assert key.min() > 0
    torch.testing.assert_close(key.sum(-1), torch.ones(2, 3, STEPS))


def test_initial_bounds() -> None:
    painter = build()
    for name, parameter in painter.get_submodule("head.to_instructions").named_parameters():
        bound = (3 * (7 + 4 + 1)) ** -0.5
        assert 0.8 * bound < parameter.abs().max() <= bound, name
    for parameter in painter.get_submodule("sequence_processor.lstm").parameters():
        assert 0.8 * D_HIDDEN**-0.5 < parameter.abs().max() <= D_HIDDEN**-0.5


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("num_steps", 4, r"input_generator\.num_steps is 5, but the painter needs 4"),
        ("d_latent", 7, r"input_generator\.d_latent is 6"),
        ("d_hidden", 9, r"sequence_processor\.d_hidden is 8"),
        ("image_size", [4, 7], r"head\.image_size is \(7, 4\)"),
        ("channels", 1, r"head\.channels is 3"),
        ("output_activation", "tan", "output_activation must be one of"),
    ],
)
def test_parts_must_agree(argument: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FastWeightPainter(**arguments() | {argument: value})


def arguments() -> dict[str, Any]:
    parts = build()
    return {
        "num_steps": STEPS,
        "d_latent": D_LATENT,
        "d_hidden": D_HIDDEN,
        "image_size": [7, 4],
        "channels": 3,
        "input_generator": parts.input_generator,
        "sequence_processor": parts.sequence_processor,
        "head": parts.head,
        "learning_rule": parts.learning_rule,
    }


class Sharpener(nn.Module):
    """Somebody's own refiner."""

    def __init__(self, image_size: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.image_size, self.channels = image_size, channels

    def forward(self, canvas: Tensor) -> Tensor:
        return 2 * canvas


@pytest.mark.parametrize(
    ("part", "size"),
    [
        ("input_generator", "num_steps"),
        ("input_generator", "d_latent"),
        ("input_generator", "d_input"),
        ("sequence_processor", "d_input"),
        ("sequence_processor", "d_hidden"),
        ("head", "d_hidden"),
        ("head", "image_size"),
        ("head", "channels"),
        ("refiner", "image_size"),
        ("refiner", "channels"),
    ],
)
def test_parts_must_say_their_sizes(part: str, size: str) -> None:
    given = arguments() | {"refiner": Sharpener((7, 4), 3)}
    assert FastWeightPainter(**given).refines
    delattr(given[part], size)
    name = type(given[part]).__name__
    with pytest.raises(ValueError, match=f"{part}: {name} must have an attribute {size}"):
        FastWeightPainter(**given)


def test_no_refiner_has_no_size() -> None:
    for nothing in (None, nn.Identity()):
        assert not FastWeightPainter(**arguments(), refiner=nothing).refines


def test_unknown_options_are_named() -> None:
    with pytest.raises(ValueError, match="rate must be one of"):
        build(rate="column")
    with pytest.raises(ValueError, match="key_activation must be one of"):
        build(key_activation="soft")
    with pytest.raises(ValueError, match="first_rate must be"):
        DeltaRule(first_rate="zero")


def test_strokes_of_a_step_follow_each_other() -> None:
    painter, z = build(strokes=2), torch.randn(3, D_LATENT)
    head = painter.head
    assert isinstance(head, InstructionHead)
    painting = painter.paint(z)
    assert painter.num_steps == painting.num_steps == 2 * STEPS
    h = painter.sequence_processor(painter.input_generator(z), z)
    values = head.write(h)[..., head.sizes[0] :][..., : head.sizes[1]]  # [B T 2·C·H]
    second = values[:, 1].view(3, 2, 3, 7)[:, 1]  # [B C H] of the second stroke of the second step
    torch.testing.assert_close(painting.instructions["value"][:, :, 3], second)
    with pytest.raises(ValueError, match="strokes must be at least 1; got 0"):
        build(strokes=0)


def test_a_cosine_head_writes_amplitudes() -> None:
    painter, z = build(basis="cosine", decay=2.0), torch.randn(3, D_LATENT)
    head = painter.head
    assert isinstance(head, InstructionHead)
    h = painter.sequence_processor(painter.input_generator(z), z)
    values = head.write(h)[..., head.sizes[0] :][..., : head.sizes[1]]
    waves = cosine_basis(7, 2.0)
    expected = (values[:, 2].view(3, 3, 7) @ waves).detach()
    torch.testing.assert_close(painter.paint(z).instructions["value"][:, :, 2].detach(), expected)
    assert not [name for name in painter.state_dict() if "rows" in name or "cols" in name]


def test_strokes_take_turns_in_their_scales() -> None:
    painter, z = build((8, 16), basis="scales", scales=[2, 8, 32]), torch.randn(3, D_LATENT)
    head, painting = painter.head, painter.paint(z)
    assert isinstance(head, InstructionHead)
    assert painter.num_steps == painting.num_steps == 3 * STEPS
    # The coarsest first; none is finer than the picture.
    assert head.sizes == [3 * (2 + 8 + 16), 3 * (2 + 8 + 8), 3 * 3]
    h = painter.sequence_processor(painter.input_generator(z), z)
    values = head.write(h)[..., head.sizes[0] :][..., : head.sizes[1]]
    coarse, *fine = values[:, 2].split([3 * 2, 3 * 8, 3 * 8], dim=-1)  # of the third step
    drawn = painting.instructions["value"][:, :, 6:9].unbind(dim=2)  # [B C H] of each stroke
    matrix = isometric_interpolation(8, 4) @ isometric_interpolation(4, 2)
    torch.testing.assert_close(drawn[0], coarse.view(3, 3, 2) @ matrix.T.float())
    for expected, got in zip(fine, drawn[1:], strict=True):
        torch.testing.assert_close(got, expected.view(3, 3, 8))
    assert {*painter.state_dict()} == {*build((8, 16)).state_dict()}


def test_one_scale_as_large_as_the_picture_is_the_picture() -> None:
    torch.manual_seed(0)
    scaled = build((8, 8), basis="scales", scales=[8, 8])
    torch.manual_seed(0)
    plain, z = build((8, 8), strokes=2), torch.randn(3, D_LATENT)
    torch.testing.assert_close(scaled.paint(z).image(), plain.paint(z).image())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"basis": "scales"}, r"scales must be whole numbers, at least 1 each; got \(\)"),
        ({"basis": "scales", "scales": [8, 0]}, r"got \[8, 0\]"),
        ({"scales": [8]}, "scales are of use with basis: scales; got basis: pixels"),
        ({"basis": "waves"}, "basis must be one of .*'scales'.*; got 'waves'"),
    ],
)
def test_scales_that_are_of_no_use(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)
