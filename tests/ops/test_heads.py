"""The products of linear attention against einsum, to the second derivative, in both layouts."""

import pytest
import torch

from fpainter.ops.heads import context, read_out


@pytest.mark.parametrize("size", [(2, 6, 3, 4, 5), (1, 1, 1, 2, 1)], ids=str)
def test_values_and_derivatives(size: tuple[int, ...]) -> None:
    images, places, heads, d, e = size
    a, b, c = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((images, places, heads, d), (images, places, heads, e), (images, heads, d, e))
    )
    torch.testing.assert_close(context(a, b), torch.einsum("bpnd,bpne->bnde", a, b))
    torch.testing.assert_close(read_out(a, c), torch.einsum("bpnd,bnde->bpne", a, c))
    for op, operands in ((context, (a, b)), (read_out, (a, c))):
        assert torch.autograd.gradcheck(op, operands)
        assert torch.autograd.gradgradcheck(op, operands)


@pytest.mark.parametrize("e", [4, 5], ids=["square", "oblong"])
def test_reading_out_in_float32_takes_a_path_of_its_own(e: int) -> None:
    a, c = torch.randn(2, 6, 3, 4), torch.randn(2, 3, 4, e)
    torch.testing.assert_close(read_out(a, c), torch.einsum("bpnd,bnde->bpne", a, c))


def test_heads_that_are_views_of_wider_maps() -> None:
    wide = torch.randn(2, 6, 3, 10)
    a, b = wide[..., :4], wide[..., 4:]
    torch.testing.assert_close(context(a, b), torch.einsum("bpnd,bpne->bnde", a, b))
    crossed = torch.randn(2, 3, 6, 4).transpose(1, 2)
    torch.testing.assert_close(context(crossed, b), torch.einsum("bpnd,bpne->bnde", crossed, b))
