"""Closed forms against the plain loops and against scalar formulas, values and gradients."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fpainter.ops import closed_form, naive, rank_one
from tests.reference.painting import paint_channel

RULES = ["delta", "sum"]
#                 B  C  T  H  W
SIZES = [(2, 3, 7, 5, 6), (1, 1, 1, 4, 4), (1, 4, 16, 3, 9), (3, 3, 12, 8, 8)]


def instructions(
    size: tuple[int, int, int, int, int], row_rates: bool, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, channels, steps, height, width = size
    lead = (batch, channels, steps)
    key = torch.randn(*lead, width, dtype=dtype).softmax(-1)
    value = torch.randn(*lead, height, dtype=dtype)
    rate = torch.rand(*lead, height if row_rates else 1, dtype=dtype)
    canvas = torch.randn(batch, channels, height, width, dtype=dtype)
    return tuple(x.requires_grad_() for x in (key, value, rate, canvas))  # type: ignore[return-value]


@pytest.mark.parametrize("with_canvas", [False, True], ids=["zero", "canvas"])
@pytest.mark.parametrize("row_rates", [False, True], ids=["scalar", "row"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_equals_naive_with_gradients(
    rule: str,
    size: tuple[int, int, int, int, int],
    row_rates: bool,
    with_canvas: bool,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    key, value, rate, canvas = instructions(size, row_rates, dtype)
    start = canvas if with_canvas else None
    inputs = [key, value, rate] + ([canvas] if with_canvas else [])
    results = []
    for module in (closed_form, naive):
        rows, cols = getattr(module, f"{rule}_rule")(key, value, rate, start)
        image = rank_one.image(rows, cols, start)
        weight = torch.linspace(-1, 1, image.numel(), dtype=dtype).reshape(image.shape)
        gradients = torch.autograd.grad((image * weight).sum(), inputs)
        results.append([image, *gradients])
    for got, expected in zip(*results, strict=True):
        scale = expected.abs().max().clamp_min(1e-30)
        assert (got - expected).abs().max() < tolerance * scale


@pytest.mark.parametrize("with_canvas", [False, True])
@pytest.mark.parametrize("row_rates", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_equals_scalar_formula_at_every_step(rule: str, row_rates: bool, with_canvas: bool) -> None:
    key, value, rate, canvas = (x.detach() for x in instructions((2, 3, 5, 4, 6), row_rates))
    start = canvas if with_canvas else None
    rows, cols = getattr(closed_form, f"{rule}_rule")(key, value, rate, start)
    canvases = rank_one.canvases(rows, cols, start, steps=range(6)).numpy()
    for b, c in itertools.product(range(2), range(3)):
        expected = paint_channel(
            rule, key[b, c].numpy(), value[b, c].numpy(), rate[b, c].numpy(),
            canvas[b, c].numpy() if with_canvas else np.zeros((4, 6)),
        )  # fmt: skip
        np.testing.assert_allclose(canvases[b, :, c], np.stack(expected), atol=1e-12)


@pytest.mark.parametrize("with_canvas", [False, True], ids=["zero", "canvas"])
@pytest.mark.parametrize("row_rates", [False, True], ids=["scalar", "row"])
def test_many_steps_are_solved_run_by_run(
    row_rates: bool, with_canvas: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four runs, the last of them shorter, come to what all steps solved together come to."""
    inputs = instructions((2, 3, 11, 5, 6), row_rates)[: 4 if with_canvas else 3]
    results = []
    for size in (11, 3):
        monkeypatch.setattr(closed_form, "CHUNK_PER_ROW" if row_rates else "CHUNK", size)
        rows, cols = closed_form.delta_rule(*inputs)
        gradients = torch.autograd.grad((rows.sin().sum(-1) * cols.sum(-1)).sum(), inputs)
        results.append([rows, cols, *gradients])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "rule", [closed_form.delta_rule, closed_form.sum_rule, closed_form.oja_rule]
)
def test_mixed_precision_paints_in_float32(rule: Callable[..., tuple[Tensor, Tensor]]) -> None:
    half = [x.detach().bfloat16() for x in instructions((2, 3, 7, 5, 6), row_rates=False)]

    def paint(key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor) -> list[Tensor]:
        rows, cols = rule(key, value, rate, canvas)
        image = rank_one.image(rows, cols, canvas)
        return [image, rank_one.updates(rows, cols), rank_one.canvases(rows, cols, canvas)]

    with torch.autocast("cpu", torch.bfloat16):
        painted = paint(*half)
    torch.testing.assert_close(painted, paint(*(x.float() for x in half)))


def test_gradcheck() -> None:
    key, value, rate, canvas = instructions((1, 2, 4, 3, 5), row_rates=True)
    assert torch.autograd.gradcheck(closed_form.delta_rule, (key, value, rate, canvas))


def test_rank_is_at_most_the_number_of_steps() -> None:
    key, value, rate, _ = instructions((2, 3, 3, 9, 8), row_rates=False)
    image = rank_one.image(*closed_form.delta_rule(key, value, rate))
    assert torch.linalg.matrix_rank(image).max() == 3


def test_zero_rate_leaves_the_canvas() -> None:
    key, value, rate, canvas = instructions((2, 3, 6, 5, 4), row_rates=False)
    rows, cols = closed_form.delta_rule(key, value, torch.zeros_like(rate), canvas)
    torch.testing.assert_close(rank_one.image(rows, cols, canvas), canvas)


def test_a_unit_key_stored_twice_at_full_rate_is_stored_once() -> None:
    key = torch.zeros(1, 1, 2, 4, dtype=torch.float64)
    key[..., 2] = 1
    value = torch.randn(1, 1, 1, 5, dtype=torch.float64).expand(1, 1, 2, 5)
    rate = torch.ones(1, 1, 2, 1, dtype=torch.float64)
    rows, cols = closed_form.delta_rule(key, value, rate)
    image = rank_one.image(rows, cols)
    torch.testing.assert_close(image[0, 0, :, 2], value[0, 0, 0])
    torch.testing.assert_close(rows[:, :, 1], torch.zeros_like(rows[:, :, 1]))
    added = rank_one.image(*closed_form.sum_rule(key, value, rate))
    torch.testing.assert_close(added, 2 * image)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": (2, 3, 7, 2)}, "rate must end in 1 or in the 5 rows"),
        ({"value": (2, 3, 6, 5)}, "agree in batch, channels and steps"),
        ({"canvas": (2, 3, 6, 5)}, "canvas must be"),
        ({"key": (2, 3, 6)}, r"\[B C T \*\]"),
    ],
)
def test_wrong_shapes_are_named(change: dict[str, tuple[int, ...]], words: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "key": (2, 3, 7, 6), "value": (2, 3, 7, 5), "rate": (2, 3, 7, 1), "canvas": (2, 3, 5, 6)
    }  # fmt: skip
    tensors = {name: torch.zeros(change.get(name, shape)) for name, shape in shapes.items()}
    for rule in (closed_form.delta_rule, closed_form.sum_rule):
        with pytest.raises(ValueError, match=words):
            rule(**tensors)
