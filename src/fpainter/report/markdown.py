"""Tables in Markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpainter.nn.sizes import size_text
from fpainter.report.data import AS_TRAINED


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown.

    Args:
        headers: one for each column.
        rows: their cells; markup is not escaped.

    Returns:
        The table, without a newline at its end.
    """
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_table(results: list[dict[str, Any]]) -> str:
    """Put one line for each result under the names of its scores.

    Args:
        results: as in ``scores.json``, all of one protocol.
    """
    rows = [_row(result) for result in results]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = markdown_table(columns, [[row.get(c, "") for c in columns] for row in rows])
    for result in results:
        if by_label := result["scores"].get("fid_by_label"):
            pairs = zip(by_label["names"], by_label["fid"], strict=True)
            lines = [[name, "" if fid is None else f"{fid:.3f}"] for name, fid in pairs]
            head = [f"class ({_row(result)['what']})", f"FID of {by_label['num_images']} fakes"]
            table += f"\n\n{markdown_table(head, lines)}"
    reals = dict.fromkeys(_reals(result) for result in results)
    return f"{table}\n\n{results[0]['protocol']}, {', '.join(reals)}\n"


def _reals(result: dict[str, Any]) -> str:
    return f"{result['num_real']} reals of {result['data']} at {size_text(result['image_size'])}"


def _row(result: dict[str, Any]) -> dict[str, str]:
    path = Path(result.get("checkpoint") or result["images"])
    row = {"what": "/".join(path.parts[-3:]) if "checkpoint" in result else path.name}
    row["size"] = size_text(result["image_size"])
    for key in ("iteration", "weights", "num_fake", *AS_TRAINED):
        if key in result:
            row[key] = str(result[key])
    for name, score in result["scores"].items():
        match score:
            case float():
                row[name] = f"{score:.4g}" if abs(score) < 1 else f"{score:.3f}"
            case {"mean": mean, "std": deviation}:
                row[name] = f"{mean:.4g} ± {deviation:.2g}"
            case {"value": value, "standard_error": error}:
                row[name] = f"{value:.3f} ± {error:.2g}"
    return row
