"""Reading the scores that ``fpainter.eval`` wrote."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fpainter.nn.sizes import size_text
from fpainter.pictures.curves import Series

# What scores are of unless scores.json says something else.
AS_TRAINED = {"num_steps": None, "drop_steps": None, "refined": True, "truncation": None}


class Estimate(NamedTuple):
    """A score and, where it is known, its standard deviation or error."""

    value: float
    error: float | None = None


@dataclass(frozen=True)
class Result:
    """The scores of one checkpoint, as ``fpainter.eval`` wrote them."""

    source: Path
    checkpoint: str
    iteration: int | None
    weights: str
    origin: str  # seed, real images and their size
    setting: str
    scores: dict[str, Estimate]
    settings: dict[str, str]  # of each score; some are of fewer fakes
    by_step: Series
    step_shares: Series

    @property
    def by_step_setting(self) -> str:
        """Return how scores by step were measured."""
        return self.settings.get("fid_by_step", self.setting)

    @property
    def state(self) -> str:
        """Say which of a run's painters was scored."""
        at = "" if self.iteration is None else f"iteration {self.iteration:,}"
        return " ".join(filter(None, [at, self.weights]))


def setting(protocol: Any, num: Any, what: str = "fakes") -> str:
    """Name what makes two scores comparable: a protocol and the number of fakes, or pairs."""
    counted = f"{num:,} {what}" if isinstance(num, int) else f"unknown number of {what}"
    return f"{protocol or 'unknown protocol'}, {counted}"


def read_results(path: Path) -> list[Result]:
    """Read what ``fpainter.eval`` wrote.

    Raises:
        ValueError: if it is no JSON, or has no list of results.
    """
    content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        raise ValueError(f"{path}: no list of results")
    found = [_result(item, path) for item in content["results"] if isinstance(item, dict)]
    return [each for each in found if each.scores or each.by_step or each.step_shares]


def _result(item: dict[str, Any], source: Path) -> Result:
    scores, protocol, fakes = item.get("scores", {}), item.get("protocol"), item.get("num_fake")
    edits = [f", {key}={item[key]}" for key in AS_TRAINED if key in item]
    estimates = {name: _estimate(value) for name, value in scores.items()}
    by_step = scores.get("fid_by_step") or {}
    size, iteration = item.get("image_size"), item.get("iteration")
    origin = {
        "seed {}": item.get("seed"),
        "{} reals": item.get("num_real"),
        "{}": item.get("data"),
        "at {}": size_text(size) if isinstance(size, list) else None,
    }
    return Result(
        source=source,
        checkpoint=str(item.get("checkpoint") or item.get("images") or ""),
        iteration=iteration if isinstance(iteration, int) else None,
        weights=str(item.get("weights", "")),
        origin=", ".join(form.format(value) for form, value in origin.items() if value is not None),
        setting=setting(protocol, fakes) + "".join(edits),
        settings={
            n: setting(protocol, *_number(s, fakes)) + "".join(edits) for n, s in scores.items()
        },
        scores={name: each for name, each in estimates.items() if each},
        by_step=_points(zip(by_step.get("steps", []), by_step.get("fid", []), strict=False)),
        step_shares=_points(enumerate(scores.get("step_shares") or [], 1)),
    )


def _number(score: Any, fakes: Any) -> tuple[Any, str]:
    """Return of how many images a score is, and what they are."""
    own = score if isinstance(score, dict) else {}
    if "num_pairs" in own:
        return own["num_pairs"], "pairs"
    return own.get("num_images", fakes), "fakes"


def _points(pairs: Any) -> Series:
    return [(int(step), float(value)) for step, value in pairs if value is not None]


def _estimate(value: Any) -> Estimate | None:
    if isinstance(value, dict):
        middle = _estimate(value.get("mean", value.get("value")))
        error = _estimate(value.get("std", value.get("standard_error")))
        return middle and Estimate(middle.value, error.value if error else None)
    return Estimate(float(value)) if isinstance(value, int | float) else None
