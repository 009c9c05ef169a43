"""Scores as a table that people can read, in Markdown."""

from pathlib import Path
from typing import Any


def score_table(results: list[dict[str, Any]]) -> str:
    """Put one line for each result under the names of its scores.

    Args:
        results: as in ``scores.json``, all of one protocol.
    """
    rows = [_row(result) for result in results]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([row.get(c, "") for c in columns] for row in rows)]
    first = results[0]
    about = f"{first['protocol']}, {first['num_real']} reals of {first['data']}"
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{about}\n"


def _row(result: dict[str, Any]) -> dict[str, str]:
    path = Path(result.get("checkpoint") or result["images"])
    row = {"what": "/".join(path.parts[-3:]) if "checkpoint" in result else path.name}
    for key in ("iteration", "weights", "num_fake"):
        if key in result:
            row[key] = str(result[key])
    for name, score in result["scores"].items():
        if isinstance(score, float):
            row[name] = f"{score:.4g}" if abs(score) < 1 else f"{score:.3f}"
        elif isinstance(score, dict) and {"mean", "std"} <= score.keys():
            row[name] = f"{score['mean']:.4g} ± {score['std']:.2g}"
        elif isinstance(score, dict) and {"value", "standard_error"} <= score.keys():
            row[name] = f"{score['value']:.3f} ± {score['standard_error']:.2g}"
    return row
