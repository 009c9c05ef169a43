"""Make learning_rules.md: ``python docs/make_rules.py [measure]``.

With ``measure`` the figures of learning_rules/figures.csv and the pictures beside it are made anew,
in some minutes on one thread; without, the page is made of those that are there.
"""

import csv
import inspect
import math
import re
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor

from fpainter.benchmarks.stopwatch import peak_memory
from fpainter.data.portraits import Portraits
from fpainter.data.render_all import pixels_or_reason
from fpainter.fitting.fit import fit_numbers
from fpainter.fitting.scores import score
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import LearningRule, Order
from fpainter.generators.painting import Painting, StrokePainting
from fpainter.generators.written import written_painter
from fpainter.launch.configs import CONFIG_DIR, composed
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.grids import beside, grid, labelled, margin, stack
from fpainter.report.markdown import markdown_table

DOCS = Path(__file__).parent
SIDE, CHANNELS, STEPS, BATCH = 64, 3, 64, 20
LONG = (512, 2048)  # steps between which memory grows
TURNS = 9  # of timing, the fastest of which counts
FITTED, ITERATIONS, SHOWN = 16, 300, (1, 2, 4, 8, 12, 16)
COLUMNS = ("rule", "time", "megabytes", "growth", "psnr")
COLOUR = torch.tensor([0.9, 0.1, -0.8])  # of the strokes in the picture


def options() -> list[str]:
    """Return what ``model/learning_rule=`` can be, but for rules of one's own and as released."""
    names = (path.stem for path in (CONFIG_DIR / "model" / "learning_rule").glob("*.yaml"))
    return sorted(name for name in names if name != "custom" and not name.endswith("_released"))


def parts(name: str, **settings: Any) -> tuple[InstructionHead, LearningRule]:
    """Return the head and the rule of an option, at 64×64×3 and with the rule's activations."""
    given = {"image": "-", "key_activation": "null", "image_size": SIDE} | settings
    overrides = [f"{key}={value}" for key, value in given.items()]
    config = composed("fit", [f"model/learning_rule={name}", *overrides])
    made = config.model.generator
    return instantiate(made.head), instantiate(made.learning_rule)


def painted(name: str, steps: int, batch: int) -> Callable[[], Painting]:
    """Return what paints random orders, and goes back through them."""
    head, rule = parts(name)
    written = torch.randn(batch, steps, sum(head.sizes), requires_grad=True)
    direction = torch.randn(batch, CHANNELS, SIDE, SIDE)

    def run() -> Painting:
        painting = rule(head.read(written))
        torch.autograd.grad(painting.image(), written, direction)
        return painting

    return run


def measured() -> dict[str, dict[str, str]]:
    """Return every option's time of the processor, relative to the delta rule's, and memory."""
    runs = {name: painted(name, STEPS, BATCH) for name in options()}
    fastest = dict.fromkeys(runs, math.inf)
    for turn in range(TURNS + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if turn:
                fastest[name] = min(fastest[name], time.process_time() - start)
        print(f"turn {turn} of {TURNS}", flush=True)
    rows = {}
    for name, seconds in fastest.items():
        low, high = (
            peak_memory(painted(name, steps, 1), torch.device("cpu")) or math.nan for steps in LONG
        )
        rows[name] = {
            "rule": name,
            "time": f"{seconds / fastest['delta']:.2f}",
            "megabytes": f"{high / 1e6:.0f}",
            "growth": f"{math.log(high / low) / math.log(LONG[1] / LONG[0]):.2f}",
        }
    return rows


def portrait() -> Tensor:
    """Return a drawn portrait, bytes [1 3 64 64]."""
    pixels = pixels_or_reason(lambda: Portraits(4).open(3), (SIDE, SIDE), CHANNELS)
    return torch.from_numpy(pixels)[None]


def bump(centre: float, width: float) -> Tensor:
    """Return a pattern [64] of length 1, largest at one place."""
    pattern = torch.exp(-0.5 * ((torch.arange(SIDE) - centre) / width) ** 2)
    return pattern / pattern.norm()


def window(begin: float, end: float) -> Tensor:
    """Return a soft window [64] with values from 0 to 1."""
    place = torch.arange(SIDE)
    return torch.sigmoid(place - begin) * torch.sigmoid(end - place)


def shown_order(name: str, order: Order) -> Tensor:
    """Return what is ordered of one stroke for the picture, [1 C 1 (repeat) *]."""
    key, across, down = bump(20, 4), window(12, 30), window(20, 50)
    colour = COLOUR if order.per == "channel" else torch.ones(1)
    found = {
        "key": key, "value": colour[:, None] * down * key.sum(), "rate": torch.ones(1),
        "removal": bump(46, 4), "source": bump(46, 4), "amount": torch.ones(1),
        "erase": torch.ones(SIDE), "write": window(20, 34), "scrape": torch.ones(SIDE),
        "columns": across, "rows": down, "colour": COLOUR[:, None],
        "fade_columns": -1.3 * (1 - window(8, 54)), "fade_rows": -1.3 * (1 - window(8, 54)),
        "fade": torch.tensor([-0.7]) if order.axis == "scalar" else -1.3 * window(36, 80),
    }[order.name]  # fmt: skip
    if name == "smudge" and order.name == "value":
        found = torch.zeros(SIDE)
    if name == "oja" and order.name == "value":
        found = colour[:, None] * down / down.norm()
    if name == "veil" and order.name == "value":
        found = window(40, 60)
    found = found.expand(CHANNELS if order.per == "channel" else 1, -1)[None, :, None]
    if order.repeat is None:
        return found
    more = found.flip(-1) if order.axis == "columns" else found
    return torch.stack([found, more], dim=3)[:, :, :, : order.repeat]


def draw_strokes(folder: Path) -> None:
    """Draw one stroke of every rule on the same portrait."""
    image_range = ImageRange("signed")
    before = image_range.from_bytes(portrait())
    tiles, names = [portrait()[0]], ["before"]
    for name in options():
        _, rule = parts(name)
        orders = {order.name: shown_order(name, order) for order in rule.orders}
        tiles.append(image_range.to_bytes(rule(orders, before).image())[0])
        names.append(name)
    rows = []
    for start in range(0, len(tiles), 7):
        row = tiles[start : start + 7]
        blank = [torch.full_like(row[0], 255)] * (7 - len(row))
        strip = grid(torch.stack([*row, *blank]), 7, scale=2)
        rows.append(labelled(strip, [*names[start : start + 7], *[""] * len(blank)]))
    stack(rows).save(folder / "strokes.jpg", quality=80, optimize=True)


def draw_fits(folder: Path, rows: dict[str, dict[str, str]]) -> None:
    """Redraw the portrait by every rule, and keep how near each came."""
    image_range, target = ImageRange("signed"), portrait()
    tiles, names = [], []
    for name in options():
        head, rule = parts(name, key_activation="unit")
        painter = written_painter(1, FITTED, head, rule, gain=0.1)
        fit_numbers(painter, image_range.from_bytes(target), ITERATIONS, 0.05, early=0.001)
        with torch.no_grad():
            canvases = painter.paint(torch.eye(1)).canvases(SHOWN)[0]
        shown = image_range.to_bytes(canvases)
        rows[name]["psnr"] = f"{float(score(shown[-1:], target).psnr[0]):.1f}"
        tiles.append(torch.cat([shown, target]))
        names.append(f"{name} {rows[name]['psnr']} dB")
        print(names[-1], flush=True)
    strips = grid(torch.cat(tiles), len(SHOWN) + 1, gap=1)
    picture = beside([margin(names, strips), strips])
    picture.save(folder / "fit.jpg", quality=65, optimize=True)


def figures(folder: Path) -> dict[str, dict[str, str]]:
    """Read the figures by rule."""
    with (folder / "figures.csv").open(encoding="utf-8") as file:
        return {row["rule"]: row for row in csv.DictReader(file)}


def overview(rows: dict[str, dict[str, str]]) -> str:
    """Return the table of all options."""
    cells = []
    for name in options():
        head, rule = parts(name)
        painting = rule(head.read(torch.zeros(1, 2, sum(head.sizes))))
        strokes = painting.per_step if isinstance(painting, StrokePainting) else "–"
        row = rows.get(name, {})
        cells.append(
            [f"`{name}`", f"{sum(head.sizes):,}", f"{strokes}",
             "loop" if strokes == "–" else "yes",
             *(row.get(column, "–") for column in ("time", "megabytes", "psnr"))]
        )  # fmt: skip
    headers = ["`model/learning_rule=`", "numbers a step", "strokes a step", "closed form",
               "time", f"MB at T={LONG[1]:,}", "dB in 16 steps"]  # fmt: skip
    return markdown_table(headers, cells)


def said(rule: LearningRule) -> str:
    """Return what the docstring of a rule says, without its arguments, as Markdown."""
    text = (inspect.getdoc(rule) or "").split("\nArgs:")[0].split("\nSource:")[0]
    return re.sub(r"``", "`", text).strip()


def order_said(order: Order) -> str:
    """Return an order in words."""
    several = f", {order.repeat} of them" if order.repeat else ""
    shared = ", for all channels" if order.per == "image" else ""
    return f"{order.name} ({order.axis}{several}{shared})"


def section(names: list[str]) -> str:
    """Return the section of a rule, with all its options."""
    name, *others = names
    head, rule = parts(name)
    ordered = ", ".join(map(order_said, (each for each in head.orders if each.axis != "none")))
    more = [f"- `{other}`: {comment(other)}" for other in others]
    return "\n\n".join(
        [f"### {name}", said(rule), f"$${rule.equation}$$",
         f"Orders: {ordered}. Source: {rule.source}.", *(["\n".join(more)] if more else [])]
    )  # fmt: skip


def comment(name: str) -> str:
    """Return what the comment in the file of an option says."""
    lines = (CONFIG_DIR / "model" / "learning_rule" / f"{name}.yaml").read_text().splitlines()
    return " ".join(line.removeprefix("# ") for line in lines[1:] if line.startswith("# "))


def page(folder: Path) -> str:
    """Return the page, with the pictures in `folder`."""
    rows = figures(folder)
    growths = [float(row["growth"]) for row in rows.values()]
    by_class: dict[type, list[str]] = {}
    for name in options():
        by_class.setdefault(type(parts(name)[1]), []).append(name)
    sections = [section(names) for names in by_class.values()]
    template = (DOCS / "learning_rules" / "page.md").read_text(encoding="utf-8")
    example = (DOCS.parent / "examples" / "curtain.py").read_text(encoding="utf-8")
    body = example[example.index("class ") : example.index("\n\nif __name__")].strip()
    return template.format(
        table=overview(rows), sections="\n\n".join(sections), example=textwrap.dedent(body),
        fits=(folder / "fit.md").read_text(encoding="utf-8").strip(),
        least=f"{min(growths):.2f}", most=f"{max(growths):.2f}", iterations=ITERATIONS,
    )  # fmt: skip


def main() -> None:
    """Measure if that is asked for, then write the page."""
    if sys.argv[1:] not in ([], ["measure"]):
        sys.exit("python docs/make_rules.py [measure]")
    folder = DOCS / "learning_rules"
    if sys.argv[1:]:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        rows = measured()
        draw_strokes(folder)
        draw_fits(folder, rows)
        with (folder / "figures.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
    (DOCS / "learning_rules.md").write_text(page(folder), encoding="utf-8")
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size / 1e3:6.0f} kB  {path.name}")


if __name__ == "__main__":
    main()
