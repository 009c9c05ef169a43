import math

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.metric_isc import (
    KEY_METRIC_ISC_MEAN,
    KEY_METRIC_ISC_STD,
    isc_features_to_metric,
)
from torchmetrics.image.inception import InceptionScore

from fpainter.evaluation.metrics.inception_score import inception_score


def logits(num: int, seed: int = 0, classes: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(num, classes, generator=generator, dtype=torch.float64)


def test_equals_the_mean_divergence() -> None:
    x = logits(11, classes=5)
    p = [[math.exp(v) / sum(map(math.exp, row)) for v in row] for row in x.tolist()]
    q = [sum(column) / 11 for column in zip(*p, strict=True)]
    divergence = sum(a * math.log(a / b) for row in p for a, b in zip(row, q, strict=True)) / 11
    mean, std = inception_score(x, splits=1)
    assert mean == pytest.approx(math.exp(divergence), rel=1e-12)
    assert std == 0


@pytest.mark.parametrize(("num", "splits"), [(200, 10), (37, 10), (10, 10), (53, 1)])
def test_equals_torch_fidelity_in_the_given_order(num: int, splits: int) -> None:
    x = logits(num)
    expected = isc_features_to_metric(x, splits, shuffle=False)
    mean, std = inception_score(x, splits)
    assert mean == pytest.approx(expected[KEY_METRIC_ISC_MEAN], rel=1e-12)
    assert std == pytest.approx(expected[KEY_METRIC_ISC_STD], rel=1e-9, abs=1e-12)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore`")
def test_equals_torchmetrics_in_its_order() -> None:
    x = logits(200)
    metric = InceptionScore(feature=nn.Identity(), splits=10)
    metric.update(x)
    torch.manual_seed(3)
    expected_mean, expected_std = metric.compute()
    torch.manual_seed(3)
    mean, std = inception_score(x[torch.randperm(200)], 10)
    assert mean == pytest.approx(float(expected_mean), rel=1e-12)
    assert std * (10 / 9) ** 0.5 == pytest.approx(float(expected_std), rel=1e-9)


def test_reaches_its_bounds_even_where_probabilities_underflow() -> None:
    sure = 2000 * torch.eye(8).repeat(5, 1)  # exp(-2000) is zero
    assert inception_score(sure, splits=5) == (pytest.approx(8), pytest.approx(0, abs=1e-12))
    assert inception_score(sure[:1].expand(10, -1), 2)[0] == pytest.approx(1)
    assert inception_score(torch.zeros(10, 8), 2)[0] == pytest.approx(1)


def test_log_probabilities_and_single_precision_will_do() -> None:
    x = logits(50).float()
    assert inception_score(x.double().log_softmax(1)) == pytest.approx(inception_score(x))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"got \(9, 64\) and splits=10"):
        inception_score(logits(9))
    with pytest.raises(ValueError, match="splits=0"):
        inception_score(logits(9), 0)
    with pytest.raises(ValueError, match=r"got \(64,\)"):
        inception_score(logits(9)[0])
