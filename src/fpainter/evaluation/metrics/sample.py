"""Metrics of single features, as a table: what a score file may hold besides the FID."""

import logging
from collections.abc import Callable
from typing import Any, cast

from torch import Tensor

from fpainter.evaluation.inception.network import InceptionFeatures
from fpainter.evaluation.metrics.extrapolation import fid_infinity
from fpainter.evaluation.metrics.fid import PaintedFID
from fpainter.evaluation.metrics.inception_score import inception_score
from fpainter.evaluation.metrics.kernel_distance import kernel_distance
from fpainter.evaluation.metrics.neighbours import neighbour_scores

log = logging.getLogger(__name__)


def _kid(metric: PaintedFID, real: Tensor) -> dict[str, Any]:
    distance = kernel_distance(real, metric.sample)
    return {
        "kid": {"mean": distance.mean, "std": distance.std, "subset_size": distance.subset_size}
    }


def _neighbours(metric: PaintedFID, real: Tensor) -> dict[str, Any]:
    scores = neighbour_scores(real, metric.sample)
    names = ("precision", "recall", "density", "coverage")
    return {name: getattr(scores, name) for name in names}


def _inception_score(metric: PaintedFID, real: Tensor) -> dict[str, Any]:
    network = cast(InceptionFeatures, metric.features.extractor)
    if not network.has_classifier:
        log.info(
            "inception_score is left out: %s has no classifier; give torch-fidelity's or "
            "pytorch-fid's file with fid.weights_path=FILE",
            network.source,
        )
        return {}
    mean, std = inception_score(network.logits(metric.sample))
    return {"inception_score": {"mean": mean, "std": std}}


def _fid_infinity(metric: PaintedFID, real: Tensor) -> dict[str, Any]:
    known = metric.statistics
    assert known is not None
    found = fid_infinity(known.moments, metric.sample, sqrt_real=known.sqrt_cov)
    return {
        "fid_infinity": {"value": found.value, "standard_error": found.standard_error},
        "fid_by_number": {"numbers": list(found.sizes), "fid": list(found.scores)},
    }


# From the metric, which has kept features of the fakes, and features of the reals [N F].
SAMPLE_METRICS: dict[str, Callable[[PaintedFID, Tensor], dict[str, Any]]] = {
    "kid": _kid,
    "neighbours": _neighbours,
    "inception_score": _inception_score,
    "fid_infinity": _fid_infinity,
}
NEED_REALS = {"kid", "neighbours"}
