"""The recurrent delta net against scalar formulas, and its gradients."""

import pytest
import torch
from torch import Tensor

from fpainter.ops.recurrent_fwp import recurrent_fwp
from tests.reference.recurrent import recurrent_delta_net

#                 B  N  T  D
SIZES = [(2, 3, 5, 4), (1, 1, 1, 2), (3, 2, 7, 1)]


def inputs(size: tuple[int, int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    batch, heads, steps, d_head = size
    shapes = (batch, heads, steps, 3 * d_head + 1), (heads, d_head, 3 * d_head + 1)
    drive, recurrence = (torch.randn(*shape, dtype=torch.float64) for shape in shapes)
    state = torch.randn(batch, heads, d_head, dtype=torch.float64)
    return drive.requires_grad_(), recurrence.requires_grad_(), state.requires_grad_()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_scalar_formula(size: tuple[int, int, int, int]) -> None:
    drive, recurrence, state = (tensor.detach() for tensor in inputs(size))
    answers = recurrent_fwp(drive, recurrence, state)
    for b in range(size[0]):
        for n in range(size[1]):
            expected = recurrent_delta_net(
                drive[b, n].numpy(), recurrence[n].numpy(), state[b, n].numpy()
            )
            torch.testing.assert_close(answers[b, n], torch.tensor(expected, dtype=torch.float64))


def test_gradcheck() -> None:
    assert torch.autograd.gradcheck(recurrent_fwp, inputs((2, 2, 3, 2)))


def test_half_precision_is_widened() -> None:
    drive, recurrence, state = inputs((2, 3, 5, 4))
    half = (drive.bfloat16(), recurrence.bfloat16(), state.bfloat16())
    assert recurrent_fwp(*half).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert recurrent_fwp(drive.float(), *half[1:]).dtype == torch.float32


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_wrong_shapes_are_named(wrong: int) -> None:
    tensors = list(inputs((2, 3, 5, 4)))
    tensors[wrong] = tensors[wrong][..., :-1]
    with pytest.raises(ValueError, match=r"drive \[B N T 3D\+1\]"):
        recurrent_fwp(*tensors)
