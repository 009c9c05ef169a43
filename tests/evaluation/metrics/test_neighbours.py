import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

from fpainter.evaluation.metrics.neighbours import NeighbourScores, neighbour_scores


def features(num: int, seed: int, shift: float = 0.0, dim: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scale = 2.0 ** -torch.arange(dim, dtype=torch.float64)  # few directions, so that balls overlap
    return torch.randn(num, dim, generator=generator, dtype=torch.float64) * scale + shift


def by_definition(real: Tensor, fake: Tensor, k: int) -> NeighbourScores:
    def distance(a: Tensor, b: Tensor) -> float:
        return float((a - b).square().sum().sqrt())

    def radius(points: Tensor, i: int) -> float:
        return sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_radii = [radius(real, i) for i in range(len(real))]
    fake_radii = [radius(fake, j) for j in range(len(fake))]
    between = [[distance(x, y) for y in fake] for x in real]
    n, m = range(len(real)), range(len(fake))
    return NeighbourScores(
        precision=sum(any(between[i][j] <= real_radii[i] for i in n) for j in m) / len(fake),
        recall=sum(any(between[i][j] <= fake_radii[j] for j in m) for i in n) / len(real),
        density=sum(between[i][j] <= real_radii[i] for i in n for j in m) / (k * len(fake)),
        coverage=sum(min(between[i]) <= real_radii[i] for i in n) / len(real),
    )


def values(scores: NeighbourScores) -> list[float]:
    return [scores.precision, scores.recall, scores.density, scores.coverage]


@pytest.mark.parametrize(("num_real", "num_fake", "k"), [(40, 33, 5), (25, 40, 1), (6, 6, 5)])
def test_equals_the_definition_whatever_the_chunks(num_real: int, num_fake: int, k: int) -> None:
    real, fake = features(num_real, 1), features(num_fake, 2, shift=0.03)
    expected = by_definition(real, fake, k)
    for chunk in (7, 1000):
        result = neighbour_scores(real, fake, k, chunk)
        assert values(result) == pytest.approx(values(expected), rel=1e-12)
    assert all(values(expected))


def test_the_cases_tell_the_scores_apart() -> None:
    scores = values(by_definition(features(40, 1), features(33, 2, shift=0.1), 5))
    assert len(set(scores)) == 4
    assert all(0 < score < 1 for score in scores)


@pytest.mark.parametrize("save_cpu_ram", [False, True])
def test_equals_torch_fidelity(save_cpu_ram: bool) -> None:
    real, fake = features(400, 1), features(300, 2, shift=0.02)
    result = neighbour_scores(real, fake, k=3, chunk=128)
    expected = prc_features_to_metric(
        fake,
        real,
        prc_neighborhood=3,
        prc_batch_size=100,
        save_cpu_ram=save_cpu_ram,
        verbose=False,
    )
    # Its shares are float32.
    assert result.precision == pytest.approx(expected[KEY_METRIC_PRECISION], rel=1e-6)
    assert result.recall == pytest.approx(expected[KEY_METRIC_RECALL], rel=1e-6)
    assert 0.2 < result.precision < 0.9
    assert 0.2 < result.recall < 0.9


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_a_set_covers_itself_and_the_sphere_counts_as_inside(shift: float) -> None:
    x = features(50, 1, shift)
    # Each ball holds its centre and the k neighbours, the k-th of them on the sphere.
    scores = neighbour_scores(x, x.flip(0), k=4, chunk=16)
    assert scores == NeighbourScores(precision=1, recall=1, density=5 / 4, coverage=1)


def test_a_common_shift_however_large_changes_nothing() -> None:
    real, fake = features(40, 1), features(33, 2, shift=0.03)
    shifted = neighbour_scores(real + 1e7, fake + 1e7)
    assert values(shifted) == values(neighbour_scores(real, fake))


def test_a_generator_of_one_image_has_precision_but_no_recall() -> None:
    real = features(50, 1)
    scores = neighbour_scores(real, real.mean(dim=0).expand(20, -1), k=5)
    assert scores.precision == 1
    assert scores.recall == 0
    assert scores.coverage < 1


def test_sets_far_apart_score_zero() -> None:
    scores = neighbour_scores(features(50, 1), features(40, 2, shift=100))
    assert scores == NeighbourScores(0, 0, 0, 0)


def test_bad_input_is_named() -> None:
    x = features(9, 1)
    with pytest.raises(ValueError, match="at least 6 images on both sides, got 9 real and 5"):
        neighbour_scores(x, x[:5])
    with pytest.raises(ValueError, match="at least 10 images on both sides, got 9 real and 20"):
        neighbour_scores(x, features(20, 2), k=9)
    with pytest.raises(ValueError, match=r"got \(9, 64\) and \(9, 5\)"):
        neighbour_scores(x, features(9, 1, dim=5))
    with pytest.raises(ValueError, match="got k=0, chunk=1000"):
        neighbour_scores(x, x, k=0)
    with pytest.raises(ValueError, match="got k=5, chunk=0"):
        neighbour_scores(x, x, chunk=0)
    with pytest.raises(ValueError, match="must be finite"):
        neighbour_scores(x, x / 0)
