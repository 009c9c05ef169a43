"""Make the pictures of these pages again: ``python docs/make_pictures.py RUN``.

RUN is a run directory of ``python -m fpainter.train experiment=demo checkpoints.keep_every=500``.
In the diagrams warm colours stand for numbers above zero, cold ones for numbers below, as in signed
strips. The viewer is photographed where there is a Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from fpainter.checkpoints.inference import load_painter
from fpainter.data.portraits import Portraits
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.latents import latents
from fpainter.generators.painting import shown_steps
from fpainter.ops.naive import delta_rule, sum_rule
from fpainter.pictures.grids import grid
from fpainter.pictures.selection import paint

PICTURES = Path(__file__).with_name("pictures")
SIDE = 12  # rows and columns of the matrices drawn
# What fpainter.generate makes: its options, what it writes, and the name here.
MADE = [
    ("what=film seeds=0-7 film.columns=8 film.scale=2 film.fps=8", "film.gif", "film.gif"),
    ("what=film seeds=0 film.margin=true film.scale=6 film.fps=4", "film.gif", "key_and_value.gif"),
    ("what=strips seeds=0-1 strips.scale=2", "strips.png", "strips.png"),
    ("what=strips seeds=0 strips.scale=2 strips.normalisation=signed", "strips.png", "signed.png"),
    ("what=spectrum seeds=0-63", "spectrum.png", "spectrum.png"),
    (
        "what=walk seeds=0-2 walk.ckpts={run}/checkpoints/0*.ckpt walk.frames_between=1 "
        "grid.scale=2",
        "walk.png",
        "training.png",
    ),
]


def matrix(axes: Any, values: Tensor, title: str, size: float = 1) -> None:
    """Show a matrix with its signs; `size` gets the full colour."""
    axes.imshow(values.numpy(), cmap="RdBu_r", vmin=-size, vmax=size, aspect="equal")
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])


def save(figure: Figure, name: str) -> None:
    """Save a figure with few colours, which halves the file."""
    FigureCanvasAgg(figure).print_png(PICTURES / name)
    with Image.open(PICTURES / name) as picture:
        picture.convert("RGB").quantize(128).save(PICTURES / name, optimize=True)


def bump(centre: float, width: float) -> Tensor:
    """Return a key of norm 1, largest at one of the columns."""
    key = torch.exp(-0.5 * ((torch.arange(SIDE) - centre) / width) ** 2)
    return key / key.norm()


A = torch.linspace(-1, 1, SIDE)
B = torch.where(torch.arange(SIDE) % 6 < 3, 1.0, -1.0)


def canvases(rule: Any, keys: list[Tensor], values: list[Tensor], rate: float = 1) -> list[Tensor]:
    """Return what a rule leaves after each of its steps, on one channel."""
    key, value = torch.stack(keys)[None, None], torch.stack(values)[None, None]
    rows, cols = rule(key, value, torch.full((1, 1, len(keys), 1), rate))
    updates = torch.einsum("th,tw->thw", rows[0, 0], cols[0, 0])
    return list(updates.cumsum(dim=0))


def draw_outer_product() -> None:
    """A value down, a key across, and their product."""
    figure = Figure(figsize=(6.6, 2.7), layout="constrained", facecolor="white")
    value, key, product = figure.subplots(1, 3, width_ratios=[1, 4, 4])
    across = 2 * bump(4, 2)
    matrix(value, A[:, None], "value $v$")
    matrix(key, across[None], "key $k^\\top$")
    matrix(product, A[:, None] * across, "$v\\,k^\\top$")
    save(figure, "outer_product.png")


def draw_same_key_twice() -> None:
    """A, then B, then B again at one key, by the sum rule and by the delta rule."""
    figure = Figure(figsize=(6.6, 5.9), layout="constrained", facecolor="white")
    axes = figure.subplots(3, 4)
    keys, values = [bump(5, 1.2)] * 4, [A, B, B, B]
    for row, (name, rule, rate) in enumerate(
        [("sum rule", sum_rule, 1), ("delta rule, rate 1", delta_rule, 1),
         ("delta rule, rate ½", delta_rule, 0.5)]
    ):  # fmt: skip
        for column, canvas in enumerate(canvases(rule, keys, values, rate)):
            wrote = ("wrote $a$", "then $b$", "$b$ again", "$b$ again")[column]
            matrix(axes[row, column], canvas, wrote)
        axes[row, 0].set_ylabel(name, fontsize=10)
    save(figure, "same_key_twice.png")


def draw_overlapping_keys() -> None:
    """Two keys that share columns: what each rule's canvas then answers to the second."""
    figure = Figure(figsize=(6.6, 4.4), layout="constrained", facecolor="white")
    axes = figure.subplots(2, 4, width_ratios=[4, 4, 1, 1])
    keys = [bump(4, 1.8), bump(7, 1.8)]
    for row, (name, rule) in enumerate([("sum rule", sum_rule), ("delta rule", delta_rule)]):
        first, second = canvases(rule, keys, [A, B])
        matrix(axes[row, 0], first, "wrote $a$ at $k_1$")
        matrix(axes[row, 1], second, "then $b$ at $k_2$")
        matrix(axes[row, 2], (second @ keys[1])[:, None], "$W k_2$")
        matrix(axes[row, 3], B[:, None], "$b$")
        axes[row, 0].set_ylabel(name, fontsize=10)
    save(figure, "overlapping_keys.png")


def draw_triangle(ckpt: Path) -> None:
    """The system that a trained painter's orders make, its right side and its solution."""
    sampler = load_painter(ckpt).sampler
    assert isinstance(sampler.generator, PaintingGenerator)
    work = paint(sampler.generator, sampler.image_range, latents(0, [0], sampler.d_latent))
    key, value, rate = (part[0, 0] for part in work.painting.instructions.values())
    system = torch.eye(len(key)) + (rate * (key @ key.mT)).tril(-1)
    right, rows = rate * value, work.painting.rows[0, 0]
    figure = Figure(figsize=(8.4, 3.1), layout="constrained", facecolor="white")
    left, middle, end = figure.subplots(1, 3)
    size = float(right.abs().quantile(0.98))
    matrix(left, system, "$I + \\mathrm{diag}(\\beta)\\,\\mathrm{tril}(K K^\\top, -1)$")
    matrix(middle, rows, "$U$", size)
    matrix(end, right, "$\\mathrm{diag}(\\beta)\\,V$", size)
    left.set_ylabel(f"{len(key)} steps")
    left.text(1.06, 0.5, "·", transform=left.transAxes, fontsize=20, ha="center", va="center")
    middle.text(1.06, 0.5, "=", transform=middle.transAxes, fontsize=16, ha="center", va="center")
    save(figure, "triangle.png")


def draw_sum_of_the_same_orders(ckpt: Path) -> None:
    """A trained painter's orders, carried out by the rule it learned with and by adding alone."""
    sampler = load_painter(ckpt).sampler
    assert isinstance(sampler.generator, PaintingGenerator)
    work = paint(sampler.generator, sampler.image_range, latents(0, range(2), sampler.d_latent))
    steps = shown_steps(work.painting.num_steps, 8)
    painting = work.painting
    rows, cols = sum_rule(**painting.instructions)
    added = torch.einsum("bcth,bctw->btchw", rows, cols).cumsum(dim=1)
    shown = [painting.canvases(steps), added[:, [step - 1 for step in steps]]]
    frames = torch.stack([work.show(each) for each in shown], dim=1).flatten(0, 2)
    grid(frames, columns=len(steps), scale=2).save(PICTURES / "delta_and_sum.png", optimize=True)


def make(options: str, written: str, name: str, run: Path) -> None:
    """Let ``fpainter.generate`` make a picture, and keep it here."""
    saved = run / "checkpoints"
    ckpt = min(saved.glob("0*.ckpt")) if "walk.ckpts" in options else saved / "last.ckpt"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fpainter.generate", f"ckpt={ckpt}"]
        command += [*options.format(run=run).split(), f"hydra.run.dir={folder}"]
        subprocess.run(command, check=True)
        shutil.copy(Path(folder) / written, PICTURES / name)
    if name == "spectrum.png":
        with Image.open(PICTURES / name) as picture:
            size = (picture.width * 5 // 8, picture.height * 5 // 8)
            picture.convert("RGB").resize(size).save(PICTURES / name, optimize=True)


def redraw_a_portrait() -> None:
    """Let the delta rule redraw a drawn portrait; few colours make the file small."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "portrait.png"
        Portraits(4).open(3).save(picture)
        options = [f"image={picture}", "num_steps=32", f"hydra.run.dir={folder}"]
        subprocess.run([sys.executable, "-m", "fpainter.fit", *options], check=True)
        with Image.open(Path(folder) / "strips.png") as strips:
            strips.convert("RGB").quantize(128).save(PICTURES / "fit.png", optimize=True)


def photograph_viewer(ckpt: Path) -> None:
    """Let a browser show the page at a step, with another one muted."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium here: viewer.png stays as it is")
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "viewer.html"
        options = [f"ckpt={ckpt}", "num_images=8", f"output={page}", f"hydra.run.dir={folder}"]
        subprocess.run([sys.executable, "-m", "fpainter.viewer", *options], check=True)
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu",
                "--window-size=860,1090", f"--screenshot={PICTURES / 'viewer.png'}",
                f"{page.as_uri()}#image=0&step=20&mute=8",
            ],
            check=True,
            cwd=folder,
        )  # fmt: skip
    with Image.open(PICTURES / "viewer.png") as picture:
        picture.convert("RGB").quantize(256).save(PICTURES / "viewer.png", optimize=True)


def main() -> None:
    """Draw the diagrams, then let the commands make the rest."""
    if len(sys.argv) != 2 or not Path(sys.argv[1], "checkpoints", "last.ckpt").is_file():
        sys.exit("python docs/make_pictures.py RUN, a run directory")
    run = Path(sys.argv[1]).resolve()
    ckpt = run / "checkpoints" / "last.ckpt"
    PICTURES.mkdir(exist_ok=True)
    draw_outer_product()
    draw_same_key_twice()
    draw_overlapping_keys()
    draw_triangle(ckpt)
    draw_sum_of_the_same_orders(ckpt)
    for options, written, name in MADE:
        make(options, written, name, run)
    redraw_a_portrait()
    photograph_viewer(ckpt)
    sizes = {path.name: path.stat().st_size for path in sorted(PICTURES.iterdir())}
    for name, size in sizes.items():
        print(f"{size / 1e3:6.0f} kB  {name}")
    print(f"{sum(sizes.values()) / 1e3:6.0f} kB")


if __name__ == "__main__":
    main()
