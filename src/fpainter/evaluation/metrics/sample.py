"""Metrics of single features, as a table: what a score file may hold besides the FID."""

import logging
from collections.abc import Callable
from typing import Any, cast

from torch import Tensor

from fpainter.errors import UserError
from fpainter.evaluation.inception.network import InceptionFeatures
from fpainter.evaluation.metrics.extrapolation import fid_infinity
from fpainter.evaluation.metrics.fid import PaintedFID
from fpainter.evaluation.metrics.inception_score import inception_score
from fpainter.evaluation.metrics.kernel_distance import kernel_distance
from fpainter.evaluation.metrics.neighbours import neighbour_scores

log = logging.getLogger(__name__)


def _inception_score(metric: PaintedFID, real: Tensor) -> dict[str, Any]:
    network = cast(InceptionFeatures, metric.features.extractor)
    try:
        mean, std = inception_score(network.logits(metric.sample))
    except UserError as error:  # weights without a classifier
        log.info("inception_score is left out: %s", error)
        return {}
    return {"inception_score": {"mean": mean, "std": std}}


def _fid_infinity(metric: PaintedFID, real: Tensor) -> dict[str, Any]:
    known = metric.statistics
    found = fid_infinity(known.moments, metric.sample, sqrt_real=known.sqrt_cov)
    return {
        "fid_infinity": {"value": found.value, "standard_error": found.standard_error},
        "fid_by_number": {"numbers": found.sizes, "fid": found.scores},
    }


# From the metric, which has kept features of the fakes, and features of the reals [N F].
SAMPLE_METRICS: dict[str, Callable[[PaintedFID, Tensor], dict[str, Any]]] = {
    "kid": lambda metric, real: {"kid": kernel_distance(real, metric.sample)._asdict()},
    "neighbours": lambda metric, real: neighbour_scores(real, metric.sample)._asdict(),
    "inception_score": _inception_score,
    "fid_infinity": _fid_infinity,
}
NEED_REALS = {"kid", "neighbours"}
