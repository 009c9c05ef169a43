"""The cosine basis against its definition, and between sizes."""

import math

import torch

from fpainter.nn.cosine import cosine_basis
from fpainter.nn.patterns import combined


def test_rows_are_orthogonal_waves() -> None:
    basis = cosine_basis(8, decay=0.0).double()
    torch.testing.assert_close(basis @ basis.T, 8 * torch.eye(8).double(), atol=1e-5, rtol=0)
    assert float(basis[3, 1]) == torch.tensor(2**0.5 * math.cos(math.pi * 3 * 1.5 / 8)).float()
    torch.testing.assert_close(cosine_basis(8, 1.5)[4], 5**-1.5 * basis[4].float())


def test_a_larger_side_samples_the_same_waves() -> None:
    small, large = torch.randn(3, 6), torch.zeros(3, 9)
    large[:, :6] = small
    coarse, fine = combined(small, cosine_basis(6)), combined(large, cosine_basis(9))
    torch.testing.assert_close(fine @ fine.T / 9, coarse @ coarse.T / 6)
    # At the middle of every third pixel of 18 lie those of 6.
    finer = combined(torch.cat([small, torch.zeros(3, 12)], 1), cosine_basis(18))
    torch.testing.assert_close(finer[:, 1::3], coarse)


def test_half_precision_is_widened() -> None:
    coefficients = torch.randn(4, 16)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = combined(coefficients, cosine_basis(16))
    torch.testing.assert_close(narrow, coefficients @ cosine_basis(16))
