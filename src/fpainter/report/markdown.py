"""Tables in Markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpainter.nn.sizes import size_text
from fpainter.report.results import AS_TRAINED


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

    Protocol, image size and reals stand below the table, or in it where they differ.

    Args:
        results: as in ``scores.json``.
    """
    about = [_about(result) for result in results]
    apart = [name for name in about[0] if len({each[name] for each in about}) > 1]
    rows = [_row(result, apart) for result in results]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = markdown_table(columns, [[row.get(c, "") for c in columns] for row in rows])
    for result in results:
        if by_label := result["scores"].get("fid_by_label"):
            pairs = zip(by_label["names"], by_label["fid"], strict=True)
            lines = [[name, "" if fid is None else f"{fid:.3f}"] for name, fid in pairs]
            head = [f"class ({_what(result)})", f"FID of {by_label['num_images']:,} fakes"]
            table += f"\n\n{markdown_table(head, lines)}"
    shared = ", ".join(text for name, text in about[0].items() if name not in apart)
    return f"{table}\n\n{shared}\n" if shared else f"{table}\n"


def _what(result: dict[str, Any]) -> str:
    path = Path(result.get("checkpoint") or result["images"])
    return "/".join(path.parts[-3:]) if "checkpoint" in result else path.name


def _about(result: dict[str, Any]) -> dict[str, str]:
    return {
        "protocol": result["protocol"],
        "size": size_text(result["image_size"]),
        "reals": f"{result['num_real']} reals of {result['data']}",
    }


def _row(result: dict[str, Any], apart: Sequence[str]) -> dict[str, str]:
    about = _about(result)
    row = {"what": _what(result)} | {name: about[name] for name in apart}
    for key in ("iteration", "weights", "num_fake", *AS_TRAINED):
        if key in result:
            row[key] = str(result[key])
    for name, score in result["scores"].items():
        match score:
            case float():
                row[name] = f"{score:.4g}" if abs(score) < 1 else f"{score:.3f}"
            case {"mean": mean, "std": deviation}:
                row[name] = f"{mean:.4g} ± {deviation:.2g}"
            case {"value": value, "standard_error": error, **others}:
                pairs = f" of {others['num_pairs']:,} pairs" if "num_pairs" in others else ""
                row[name + pairs] = f"{value:.3f} ± {error:.2g}"
    return row
