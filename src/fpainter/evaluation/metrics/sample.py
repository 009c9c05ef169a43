"""Metrics of single features, as a table: what a score file may hold besides the FID."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fpainter.evaluation.inception.network import InceptionFeatures
from fpainter.evaluation.metrics.extrapolation import fid_infinity
from fpainter.evaluation.metrics.inception_score import inception_score
from fpainter.evaluation.metrics.kernel_distance import kernel_distance
from fpainter.evaluation.metrics.neighbours import neighbour_scores
from fpainter.evaluation.statistics import RealStatistics

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Samples:
    """Single features of both sides.

    Attributes:
        real: `[N F]`; empty where no metric needs them.
        fake: `[M F]`.
        statistics: of all real images.
        network: which the features come from.
    """

    real: Tensor
    fake: Tensor
    statistics: RealStatistics
    network: InceptionFeatures


def _kid(samples: Samples) -> dict[str, Any]:
    distance = kernel_distance(samples.real, samples.fake)
    return {
        "kid": {"mean": distance.mean, "std": distance.std, "subset_size": distance.subset_size}
    }


def _neighbours(samples: Samples) -> dict[str, Any]:
    scores = neighbour_scores(samples.real, samples.fake)
    names = ("precision", "recall", "density", "coverage")
    return {name: getattr(scores, name) for name in names}


def _inception_score(samples: Samples) -> dict[str, Any]:
    if not samples.network.has_classifier:
        log.info(
            "inception_score is left out: %s has no classifier; give torch-fidelity's or "
            "pytorch-fid's file with fid.weights_path=FILE",
            samples.network.source,
        )
        return {}
    mean, std = inception_score(samples.network.logits(samples.fake))
    return {"inception_score": {"mean": mean, "std": std}}


def _fid_infinity(samples: Samples) -> dict[str, Any]:
    found = fid_infinity(
        samples.statistics.moments, samples.fake, sqrt_real=samples.statistics.sqrt_cov
    )
    return {
        "fid_infinity": {"value": found.value, "standard_error": found.standard_error},
        "fid_by_number": {"numbers": list(found.sizes), "fid": list(found.scores)},
    }


SAMPLE_METRICS: dict[str, Callable[[Samples], dict[str, Any]]] = {
    "kid": _kid,
    "neighbours": _neighbours,
    "inception_score": _inception_score,
    "fid_infinity": _fid_infinity,
}
NEED_REALS = {"kid", "neighbours"}
