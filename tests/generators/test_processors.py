"""Input generators and sequence processors: shapes, gradients, and what they refuse."""

import pytest
import torch
from torch import Tensor, nn

from fpainter.generators.input_generators import ProjectLatent, RepeatLatent, SplitLatent
from fpainter.generators.learning_rules import OjaRule
from fpainter.generators.painting import StrokePainting
from fpainter.generators.rfwp_processor import RecurrentDeltaNet, RFWPProcessor
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.generators.transformer_processor import SelfAttention, TransformerProcessor
from fpainter.nn.noise import Dropout
from fpainter.ops.recurrent_fwp import recurrent_fwp

D_INPUT, D_HIDDEN, D_LATENT = 10, 8, 6


def every_parameter_is_reached(module: nn.Module, output: Tensor) -> None:
    (output * torch.linspace(-1, 2, output.numel()).reshape(output.shape)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def processors(name: str, d_input: int = D_INPUT, num_layers: int = 2) -> nn.Module:
    if name == "lstm":
        return LSTMProcessor(d_input, D_HIDDEN, num_layers, D_LATENT)
    if name == "transformer":
        return TransformerProcessor(d_input, D_HIDDEN, num_layers, num_heads=2, d_feedforward=9)
    return RFWPProcessor(d_input, D_HIDDEN, num_layers, D_LATENT, num_heads=2, d_feedforward=9)


NAMES = ["lstm", "transformer", "rfwp"]


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("d_input", [D_INPUT, D_HIDDEN])
@pytest.mark.parametrize("name", NAMES)
def test_processors(name: str, d_input: int, steps: int) -> None:
    processor = processors(name, d_input)
    h = processor(torch.randn(3, steps, d_input), torch.randn(3, D_LATENT))
    assert h.shape == (3, steps, D_HIDDEN)
    every_parameter_is_reached(processor, h)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_transformer_sees_later_steps(name: str) -> None:
    processor = processors(name)
    x, z = torch.randn(2, 5, D_INPUT), torch.randn(2, D_LATENT)
    changed = x.clone()
    changed[:, 3] += 1
    difference = (processor(x, z) - processor(changed, z)).abs().amax((0, 2)) > 1e-6
    assert difference.tolist() == [name == "transformer"] * 3 + [True, True]


def test_the_transformer_has_no_order_of_its_own() -> None:
    processor = processors("transformer")
    x, z = torch.randn(2, 5, D_INPUT), torch.randn(2, D_LATENT)
    torch.testing.assert_close(processor(x.flip(1), z), processor(x, z).flip(1))


@pytest.mark.parametrize("name", ["lstm", "rfwp"])
def test_the_first_state_comes_from_the_latent(name: str) -> None:
    processor = processors(name)
    x, z = torch.randn(2, 5, D_INPUT), torch.randn(2, D_LATENT)
    assert (processor(x, z) - processor(x, z + 1)).abs().amax((0, 2)).min() > 1e-6


def test_the_lstms_first_state_by_hand() -> None:
    """Hidden state before cell state, each layer after layer, as the released code has them."""
    processor = LSTMProcessor(D_INPUT, D_HIDDEN, 2, D_LATENT)
    x, z = torch.randn(3, 5, D_INPUT), torch.randn(3, D_LATENT)
    assert processor.to_state is not None
    states = processor.to_state(z).unflatten(1, (2, 2, D_HIDDEN)).movedim(0, 2).contiguous()
    torch.testing.assert_close(processor(x, z), processor.lstm(x, (states[0], states[1]))[0])


def test_attention_of_two_heads_by_hand() -> None:
    """A head's query, key and value are neighbours; the scale is that of both heads' width."""
    attention = SelfAttention(D_HIDDEN, num_heads=2)
    x, heads = torch.randn(2, 5, D_HIDDEN), []
    for head in attention.to_qkv(attention.norm(x)).chunk(2, dim=-1):
        q, k, v = head.chunk(3, dim=-1)
        heads.append((q @ k.mT / D_HIDDEN**0.5).softmax(-1) @ v)
    torch.testing.assert_close(attention(x), x + attention.to_out(torch.cat(heads, -1)))


def test_layers_of_memories_by_hand() -> None:
    """Layer after layer, and in each head after head, as the released code stores them."""
    processor = RFWPProcessor(D_INPUT, D_HIDDEN, 2, D_LATENT, num_heads=2, d_feedforward=9)
    x, z = torch.randn(3, 5, D_INPUT), torch.randn(3, D_LATENT)
    h = processor.to_hidden(x)
    for layer, states in enumerate(processor.to_state(z).chunk(2, dim=-1)):
        memory = processor.get_submodule(f"memories.{layer}")
        assert isinstance(memory, RecurrentDeltaNet)
        drives = memory.to_drive(memory.norm(h)).chunk(2, dim=-1)
        answers = [
            recurrent_fwp(drive[:, None], memory.recurrence[[head]], state[:, None])[:, 0]
            for head, (drive, state) in enumerate(zip(drives, states.chunk(2, -1), strict=True))
        ]
        h = h + memory.to_out(torch.cat(answers, dim=-1))
        h = processor.get_submodule(f"feedforwards.{layer}")(h)
    torch.testing.assert_close(processor(x, z), h)


@pytest.mark.parametrize("name", ["transformer", "rfwp"])
def test_dropout(name: str) -> None:
    processor = (
        TransformerProcessor(D_INPUT, D_HIDDEN, dropout=0.5)
        if name == "transformer"
        else RFWPProcessor(D_INPUT, D_HIDDEN, 1, D_LATENT, dropout=0.5)
    )
    x, z = torch.randn(2, 5, D_INPUT), torch.randn(2, D_LATENT)
    assert not torch.equal(processor(x, z), processor(x, z))
    processor.eval()
    assert torch.equal(processor(x, z), processor(x, z))


def test_dropout_keeps_the_mean() -> None:
    dropped = Dropout(0.25)(torch.ones(1000, 10))
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 4 / 3]))
    # 10,000 coins: 5 standard deviations are 0.022.
    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.022)


def test_initial_recurrence() -> None:
    recurrence = RecurrentDeltaNet(128, num_heads=2).recurrence.detach()
    assert recurrence.std() == pytest.approx(64**-0.5, rel=0.02)


@pytest.mark.parametrize("num_heads", [3, 0])
def test_heads_must_divide_the_width(num_heads: int) -> None:
    words = rf"got d_hidden 8 and num_heads {num_heads}"
    with pytest.raises(ValueError, match=words):
        TransformerProcessor(D_INPUT, D_HIDDEN, num_heads=num_heads)
    with pytest.raises(ValueError, match=words):
        RFWPProcessor(D_INPUT, D_HIDDEN, 1, D_LATENT, num_heads=num_heads)


@pytest.mark.parametrize("embedding", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", [SplitLatent, ProjectLatent, RepeatLatent])
def test_input_generators(
    kind: type[SplitLatent | ProjectLatent | RepeatLatent], steps: int, embedding: bool
) -> None:
    generator = kind(D_LATENT, steps, step_embedding=embedding)
    x = generator(torch.randn(4, D_LATENT))
    assert x.shape == (4, steps, generator.d_input)
    if list(generator.parameters()):
        every_parameter_is_reached(generator, x)


@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_slices_are_activated_before_they_are_widened(activation: str) -> None:
    generator = ProjectLatent(D_LATENT, 3, d_slice=2, d_input=5, slice_activation=activation)
    z = 3 * torch.randn(4, D_LATENT)
    slices = generator.to_slices(z).unflatten(1, (3, 2))
    expected = generator.to_input(slices.tanh() if activation == "tanh" else slices)
    torch.testing.assert_close(generator(z), expected)


def test_a_slice_reaches_its_own_step_only() -> None:
    generator = SplitLatent(D_LATENT, 3, d_slice=2, d_input=5)
    z = torch.randn(2, D_LATENT)
    changed = z.clone()
    changed[:, 2:4] += 1
    difference = (generator(z) - generator(changed)).abs().amax((0, 2)) > 0
    assert difference.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("d_latent", "d_slice", "words"),
    [
        (6, 3, "4 x 3 = 12, d_slice at least 1; got d_latent 6"),
        (6, None, "4 x 1 = 4, d_slice at least 1; got d_latent 6"),
        (0, None, "4 x 0 = 0, d_slice at least 1; got d_latent 0"),
    ],
)
def test_slices_must_make_up_the_latent(d_latent: int, d_slice: int | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SplitLatent(d_latent, 4, d_slice)


@pytest.mark.parametrize("activation", ["identity", "softmax"])
def test_oja_rule(activation: str) -> None:
    key, value, rate = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 6), torch.rand(2, 3, 5, 1)
    painting = OjaRule(activation)({"key": key, "value": value, "rate": rate})
    assert isinstance(painting, StrokePainting)
    rows, cols = painting.rows, painting.cols
    torch.testing.assert_close(rows, rate * value)
    assert cols.shape == key.shape
    if activation == "softmax":
        torch.testing.assert_close(cols.sum(-1), torch.ones(2, 3, 5))


def test_oja_rule_names_its_options() -> None:
    with pytest.raises(ValueError, match="corrected_key_activation must be one of"):
        OjaRule("tanh")
