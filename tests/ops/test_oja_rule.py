"""Oja's rule against the plain loop and against a scalar formula, values and gradients."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from fpainter.ops import closed_form, naive, rank_one
from tests.ops.test_learning_rules import SIZES, instructions
from tests.reference.painting import paint_oja_channel

Size = tuple[int, int, int, int, int]


def bounded(size: Size, row_rates: bool, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Values of length about one: with longer ones the rule itself grows without bound."""
    key, value, rate, canvas = instructions(size, row_rates, dtype)
    value = (value.detach() / size[3] ** 0.5).requires_grad_()
    return key, value, rate, canvas


@pytest.mark.parametrize("softmax", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("with_canvas", [False, True], ids=["zero", "canvas"])
@pytest.mark.parametrize("row_rates", [False, True], ids=["scalar", "row"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_equals_naive_with_gradients(
    size: Size,
    row_rates: bool,
    with_canvas: bool,
    softmax: bool,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    key, value, rate, canvas = bounded(size, row_rates, dtype)
    start = canvas if with_canvas else None
    inputs = [key, value, rate] + ([canvas] if with_canvas else [])
    results = []
    for module in (closed_form, naive):
        rows, cols = module.oja_rule(key, value, rate, start, softmax=softmax)
        image = rank_one.image(rows, cols, start)
        weight = torch.linspace(-1, 1, image.numel(), dtype=dtype).reshape(image.shape)
        gradients = torch.autograd.grad((image * weight).sum(), inputs)
        results.append([rows, cols, image, *gradients])
    for got, expected in zip(*results, strict=True):
        scale = expected.abs().max().clamp_min(1e-30)
        assert (got - expected).abs().max() < tolerance * scale


@pytest.mark.parametrize("softmax", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("with_canvas", [False, True], ids=["zero", "canvas"])
@pytest.mark.parametrize("row_rates", [False, True], ids=["scalar", "row"])
def test_equals_scalar_formula_at_every_step(
    row_rates: bool, with_canvas: bool, softmax: bool
) -> None:
    size = (2, 3, 5, 4, 6)
    key, value, rate, canvas = (x.detach() for x in bounded(size, row_rates, torch.float64))
    start = canvas if with_canvas else None
    rows, cols = closed_form.oja_rule(key, value, rate, start, softmax)
    canvases = rank_one.canvases(rows, cols, start, steps=range(6)).numpy()
    for b, c in itertools.product(range(2), range(3)):
        expected = paint_oja_channel(
            key[b, c].numpy(), value[b, c].numpy(), rate[b, c].numpy(),
            canvas[b, c].numpy() if with_canvas else np.zeros((4, 6)), softmax,
        )  # fmt: skip
        np.testing.assert_allclose(canvases[b, :, c], np.stack(expected), atol=1e-12)


@pytest.mark.parametrize("softmax", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("with_canvas", [False, True], ids=["zero", "canvas"])
def test_many_steps_are_solved_run_by_run(
    with_canvas: bool, softmax: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, value, rate, canvas = bounded((2, 3, 11, 5, 6), True, torch.float64)
    results = []
    for size in (11, 3):
        monkeypatch.setattr(closed_form, "CHUNK", size)
        start = canvas if with_canvas else None
        results.append(closed_form.oja_rule(key, value, rate, start, softmax))
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("softmax", [False, True], ids=["once", "twice"])
def test_gradcheck(softmax: bool) -> None:
    inputs = bounded((1, 2, 4, 3, 5), True, torch.float64)
    rule = partial(closed_form.oja_rule, softmax=softmax)
    assert torch.autograd.gradcheck(rule, inputs)


def test_zero_rate_leaves_the_canvas() -> None:
    key, value, rate, canvas = bounded((2, 3, 6, 5, 4), False, torch.float64)
    rows, cols = closed_form.oja_rule(key, value, torch.zeros_like(rate), canvas)
    torch.testing.assert_close(rank_one.image(rows, cols, canvas), canvas)


def test_a_pattern_stored_twice_with_a_unit_value_is_stored_once() -> None:
    value = torch.zeros(1, 1, 2, 4, dtype=torch.float64)
    value[..., 1] = 1
    key = torch.randn(1, 1, 1, 5, dtype=torch.float64).expand(1, 1, 2, 5)
    rows, cols = closed_form.oja_rule(key, value, torch.ones(1, 1, 2, 1, dtype=torch.float64))
    torch.testing.assert_close(rank_one.image(rows, cols)[0, 0, 1], key[0, 0, 0])
    torch.testing.assert_close(cols[:, :, 1], torch.zeros_like(cols[:, :, 1]))


def test_is_the_delta_rule_of_the_transposed_canvas() -> None:
    """With rates of one, writing and reading are symmetric: keys and values change places."""
    key, value, _, canvas = bounded((2, 3, 6, 5, 4), False, torch.float64)
    ones = torch.ones(2, 3, 6, 1, dtype=torch.float64)
    rows, cols = closed_form.oja_rule(key, value, ones, canvas)
    mirrored = closed_form.delta_rule(value, key, ones, canvas.mT)
    torch.testing.assert_close((cols, rows), mirrored)


def test_wrong_shapes_are_named() -> None:
    zeros = torch.zeros(2, 3, 7, 6)
    with pytest.raises(ValueError, match="rate must end in 1 or in the 6 rows"):
        closed_form.oja_rule(zeros, zeros, zeros[..., :2])
