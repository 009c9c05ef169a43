"""Make learning_rules/fit.csv and fit.md: ``python docs/make_fit_table.py [FOLDER_OF_CATS]``.

How near each learning rule comes to pictures when it is told as many numbers for each as the delta
rule in T steps: ten drawn portraits and, of a folder, the ten images that come first by name, at
64×64 pixels, fitted as ``python -m fpainter.fit`` does it. What is in the file is not measured
again; without a folder, its table alone is written. More steps than 16 are for the main rules.
`make_rules.py` puts the table into learning_rules.md.
"""

import csv
import sys
import time
from itertools import islice
from pathlib import Path

import torch
from hydra.utils import instantiate
from torch import Tensor

from fpainter.data.finding import image_source
from fpainter.data.portraits import Portraits
from fpainter.data.render_all import render_all
from fpainter.fitting.fit import best_rank, fit_numbers
from fpainter.fitting.scores import score
from fpainter.generators.written import written_painter
from fpainter.launch.allocator import keep_freed_memory
from fpainter.launch.configs import composed
from fpainter.nn.image_range import ImageRange
from fpainter.report.markdown import markdown_table

FILE = Path(__file__).parent / "learning_rules" / "fit.csv"
COLUMNS = ("told_as", "rule", "steps", "numbers", "portraits", "cats", "minutes")
STEPS = (16, 32, 64)  # of the delta rule
PICTURES, SIDE, CHANNELS = 10, 64, 3
SCALES = ["model.generator.head.basis=scales", "model.generator.head.scales=[8,16,32,64]"]
SETTINGS = ["iterations=400", "lr=0.3", "early=0", "key_activation=null", f"image_size={SIDE}"]
MAIN = ("best rank", "delta", "delta_unit", "sum", "coupled", "delta_unit, scales")
RULES = {  # with more settings of each; the slow ones last
    "delta": [], "delta_unit": [], "sum": [], "coupled": [], "delta_unit, scales": SCALES,
    "coupled, scales": SCALES, "shared_key": [], "delta_normalised": [], "delta_implicit": [],
    "recursive": [], "delta_product": [], "smudge": [], "removal": [], "gated_delta": [],
    "column_fade": [], "erase_write": [], "frame_fade": [], "veil": [], "over": [],
    "oja": ["lr=0.03"],  # with 0.3 it goes further away
}  # fmt: skip


def fitted(rule: str, steps: int, pictures: Tensor) -> tuple[Tensor, int, int]:
    """Fit all pictures.

    Args:
        rule: of `RULES`.
        steps: T of the delta rule that is told as many numbers.
        pictures: uint8 [N C H W].

    Returns:
        PSNR of each in dB, the steps of this rule, the numbers it is told for a picture.
    """
    name = rule.partition(",")[0]
    cfg = composed("fit", [f"model/learning_rule={name}", "image=x", *SETTINGS, *RULES[rule]])
    parts, image_range = cfg.model.generator, ImageRange(cfg.model.image_range)
    head, learning_rule = instantiate(parts.head), instantiate(parts.learning_rule)
    written = sum(head.sizes)
    orders = max(round(steps * CHANNELS * (2 * SIDE + 1) / written), 1)
    num_steps = orders * head.strokes
    painter = written_painter(
        len(pictures), num_steps, head, learning_rule, parts.output_activation, cfg.gain, cfg.seed
    )
    fit_numbers(painter, image_range.from_bytes(pictures), cfg.iterations, cfg.lr, cfg.early)
    with torch.no_grad():
        redrawn = painter.paint(torch.eye(len(pictures))).image()
    return score(image_range.to_bytes(redrawn), pictures).psnr, num_steps, orders * written


def measure(cats: Path) -> None:
    """Add what the file lacks, row by row."""
    sources = Portraits(PICTURES), image_source(cats)
    pictures = torch.cat(
        [
            torch.stack(
                [*map(torch.from_numpy, islice(render_all(s, (SIDE, SIDE), CHANNELS), PICTURES))]
            )
            for s in sources
        ]
    )
    for steps in STEPS:
        nearest = ImageRange("unit").to_bytes(best_rank(pictures / 255, steps))
        known = {(row["told_as"], row["rule"]) for row in read()}
        for rule in ("best rank", *RULES):
            if (str(steps), rule) in known or (steps > min(STEPS) and rule not in MAIN):
                continue
            begun = time.monotonic()
            if rule == "best rank":
                psnr, own_steps, numbers = score(nearest, pictures).psnr, steps, 0
            else:
                psnr, own_steps, numbers = fitted(rule, steps, pictures)
            means = [f"{part.mean():.2f}" for part in psnr.split(PICTURES)]
            spent = f"{(time.monotonic() - begun) / 60:.2f}"
            row = [steps, rule, own_steps, numbers or "", *means, spent]
            with FILE.open("a", newline="") as file:
                csv.writer(file).writerow(row)
            print(*row)


def read() -> list[dict[str, str]]:
    """Return the rows of the file; begin it if there is none."""
    if not FILE.is_file():
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(",".join(COLUMNS) + "\n")
    with FILE.open(newline="") as file:
        return list(csv.DictReader(file))


def table() -> str:
    """Return a row for each rule, with PSNR of portraits and cats for each T, as Markdown."""
    found = {(int(row["told_as"]), row["rule"]): row for row in read()}
    rows = []
    for rule in ("best rank", *RULES):
        of_rule = [found.get((steps, rule)) for steps in STEPS]
        cells = [f"{r['portraits']}, {r['cats']} ({r['steps']})" if r else "" for r in of_rule]
        if any(cells):
            rows.append([rule, *cells])
    heads = [f"as {steps} delta steps" for steps in STEPS]
    return markdown_table(["rule", *heads], rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        keep_freed_memory()
        measure(Path(sys.argv[1]))
    FILE.with_suffix(".md").write_text(f"{table()}\n", encoding="utf-8")
