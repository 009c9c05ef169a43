import pytest
import torch

from fpainter.generators.latents import latents


def test_a_row_depends_on_seed_and_index_only() -> None:
    all_at_once = latents(3, range(20), 7)
    assert torch.equal(latents(3, [19, 4], 7), all_at_once[[19, 4]])
    assert torch.equal(latents(3, range(1, 20, 2), 7), all_at_once[1::2])
    assert not torch.equal(latents(4, range(20), 7), all_at_once)


def test_does_not_touch_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    latents(0, range(3), 5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_rows_are_standard_normal_and_uncorrelated() -> None:
    z = latents(0, range(2000), 32)
    assert z.dtype == torch.float32
    assert abs(float(z.mean())) < 0.02
    assert float(z.std()) == pytest.approx(1, abs=0.02)
    neighbours = (z[1:] * z[:-1]).mean()
    assert abs(float(neighbours)) < 0.02


def test_negative_seeds_and_empty_batches_work() -> None:
    assert latents(-1, [], 3).shape == (0, 3)
    assert not torch.equal(latents(-1, [0], 3), latents(1, [0], 3))


@pytest.mark.parametrize(("indices", "d_latent"), [([-1], 3), ([2**32], 3), ([0], 0)])
def test_out_of_range_is_an_error(indices: list[int], d_latent: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        latents(0, indices, d_latent)
