import math

import pytest
import torch

from fpainter.evaluation.metrics.painting import effective_rank, step_shares
from fpainter.generators.painting import StrokePainting
from tests.generators.paintings import painting_of


def paint(batch: int, channels: int, steps: int, height: int, width: int) -> StrokePainting:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(batch, channels, steps, height, generator=generator)
    cols = torch.randn(batch, channels, steps, width, generator=generator)
    canvas = torch.randn(batch, channels, height, width, generator=generator)
    return painting_of(rows, cols, canvas)


def test_effective_rank_equals_the_formula() -> None:
    images = torch.randn(2, 3, 7, 4, generator=torch.Generator().manual_seed(0))
    result = effective_rank(images)
    assert (result.shape, result.dtype) == ((2, 3), torch.float64)
    # The squared singular values are the eigenvalues of the smaller Gram matrix.
    image = images[1, 2].double()
    values = torch.linalg.eigvalsh(image.T @ image).sqrt().tolist()
    shares = [value / sum(values) for value in values]
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    assert float(result[1, 2]) == pytest.approx(expected, rel=1e-9)


def test_effective_rank_of_simple_images() -> None:
    one = torch.outer(torch.arange(1.0, 6), torch.arange(1.0, 8))
    unit = torch.eye(5, 7)
    unit[3:] = 0
    images = torch.stack([one, unit, -1e-20 * unit, torch.zeros(5, 7)])[None]
    expected = torch.tensor([[1.0, 3, 3, 0]], dtype=torch.float64)
    torch.testing.assert_close(effective_rank(images), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7, 4), (1, 1, 1, 4, 6), (3, 4, 7, 3, 3)])
def test_step_shares_equal_inner_products_of_the_pictures(
    shape: tuple[int, int, int, int, int],
) -> None:
    painting = paint(*shape)
    assert painting.canvas is not None
    change = (painting.image() - painting.canvas).double()
    inner = (painting.updates().double() * change[:, None]).sum(dim=(2, 3, 4))
    expected = inner / change.square().sum(dim=(1, 2, 3))[:, None]
    shares = step_shares(painting)
    torch.testing.assert_close(shares, expected, rtol=1e-5, atol=1e-6)
    ones = torch.ones(shape[0], dtype=torch.float64)
    torch.testing.assert_close(shares.sum(dim=1), ones, rtol=1e-13, atol=0)


def test_a_step_undone_has_a_negative_share_and_nothing_painted_has_none() -> None:
    rows = torch.tensor([[[[1.0, 0], [3, 0], [-2, 0]]], [[[1, 0], [0, 0], [-1, 0]]]])  # [2 1 3 2]
    cols = torch.ones(2, 1, 3, 2)
    shares = step_shares(painting_of(rows, cols))
    torch.testing.assert_close(shares[0], torch.tensor([0.5, 1.5, -1]).double())
    assert shares[1].isnan().all()


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"\[B C H W\], got \(3, 4, 4\)"):
        effective_rank(torch.ones(3, 4, 4))
