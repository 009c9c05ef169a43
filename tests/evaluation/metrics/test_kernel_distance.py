import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torchmetrics.image.kid import KernelInceptionDistance

from fpainter.evaluation.metrics.kernel_distance import kernel_distance


def features(num: int, seed: int, dim: int = 64, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, dim, generator=generator, dtype=torch.float64) + shift


def torchmetrics_kid(real: Tensor, fake: Tensor, subsets: int, size: int) -> tuple[float, float]:
    extractor = nn.Identity()
    extractor.num_features = real.shape[1]  # type: ignore[assignment]
    metric = KernelInceptionDistance(feature=extractor, subsets=subsets, subset_size=size)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    mean, std = metric.compute()
    return float(mean), float(std)


def test_equals_the_sum_over_pairs() -> None:
    x, y = features(7, 1, dim=5), features(7, 2, dim=5, shift=0.3)

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a.dot(b)) / 5 + 1) ** 3

    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs) / 42
    between = sum(k(a, b) for a in x for b in y) / 49
    result = kernel_distance(x, y, num_subsets=3, subset_size=7)
    assert result.mean == pytest.approx(within - 2 * between, rel=1e-12)
    assert result.std == pytest.approx(0, abs=1e-12)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`")
def test_equals_torchmetrics_on_the_same_subsets() -> None:
    real, fake = features(150, 1), features(120, 2, shift=0.05)
    torch.manual_seed(4)
    mean, std = torchmetrics_kid(real, fake, subsets=20, size=50)
    result = kernel_distance(real, fake, num_subsets=20, subset_size=50, seed=4)
    assert result.mean == pytest.approx(mean, rel=1e-9)
    assert result.std == pytest.approx(std, rel=1e-9)


def fidelity_kid(real: Tensor, fake: Tensor, subsets: int, size: int) -> float:
    result = kid_features_to_metric(
        real, fake, kid_subsets=subsets, kid_subset_size=size, verbose=False
    )
    return result[KEY_METRIC_KID_MEAN]


def test_equals_torch_fidelity() -> None:
    real, fake = features(80, 1), features(80, 2, shift=0.05)
    whole = kernel_distance(real, fake, num_subsets=2, subset_size=80)
    assert whole.mean == pytest.approx(fidelity_kid(real, fake, 2, 80), rel=1e-10)
    parts = kernel_distance(real, fake, num_subsets=100, subset_size=20)
    error = parts.std / 100**0.5  # of either side's mean over subsets of the same images
    assert abs(parts.mean - fidelity_kid(real, fake, 100, 20)) < 4 * error


def test_is_unbiased_so_that_equal_distributions_average_to_zero() -> None:
    values = torch.tensor(
        [
            kernel_distance(features(20, 2 * i), features(20, 2 * i + 1), num_subsets=1).mean
            for i in range(200)
        ]
    )
    assert (values < 0).any()
    assert abs(values.mean()) < 3 * values.std() / 200**0.5


def test_grows_with_the_shift() -> None:
    real = features(100, 1)
    near, far = (
        kernel_distance(real, features(100, 2, shift=s), num_subsets=5).mean for s in (0.1, 0.5)
    )
    assert 0 < near < far


def test_subsets_are_no_larger_than_there_are_images() -> None:
    assert kernel_distance(features(30, 1), features(40, 2), num_subsets=2).subset_size == 30
    assert kernel_distance(features(40, 1), features(30, 2), num_subsets=2).subset_size == 30
    assert kernel_distance(features(40, 1), features(30, 2), 2, subset_size=9).subset_size == 9


def test_repeats_to_the_last_digit_and_depends_on_the_seed() -> None:
    real, fake = features(60, 1), features(50, 2)
    first, again, other = (kernel_distance(real, fake, 5, 20, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_single_precision_features_give_the_double_precision_value() -> None:
    real, fake = features(60, 1).float(), features(50, 2, shift=0.05).float()
    assert kernel_distance(real, fake, 3, 20) == kernel_distance(
        real.double(), fake.double(), 3, 20
    )


def test_bad_input_is_named() -> None:
    x = features(9, 1)
    with pytest.raises(ValueError, match=r"got \(9, 64\) and \(9, 5\)"):
        kernel_distance(x, features(9, 1, dim=5))
    with pytest.raises(ValueError, match="1 real and 9 painted"):
        kernel_distance(x[:1], x)
    with pytest.raises(ValueError, match="got num_subsets=0"):
        kernel_distance(x, x, num_subsets=0)
    with pytest.raises(ValueError, match="subset_size=1, 9 real"):
        kernel_distance(x, x, subset_size=1)
