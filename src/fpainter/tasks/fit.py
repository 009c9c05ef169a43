"""Pictures redrawn by a learning rule: how, how well, and what it looks like."""

import json
import logging
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from fpainter.data.render_all import pixels_or_reason, render_all
from fpainter.data.sources import image_source, open_file, printable
from fpainter.errors import UserError
from fpainter.fitting.fit import best_rank, fit_numbers
from fpainter.fitting.scores import SMALLEST, Scores, score
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import shown_steps
from fpainter.generators.sampler import Sampler
from fpainter.generators.written import written_painter
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import blaming, check_numbers
from fpainter.nn.image_range import ImageRange
from fpainter.nn.sizes import as_size, check_number
from fpainter.paths import existing
from fpainter.pictures.film import painting_film, save_film
from fpainter.pictures.grids import grid, labelled
from fpainter.pictures.selection import Painted, paint
from fpainter.pictures.strips import draw_strips
from fpainter.progress import reporting
from fpainter.viewer.page import work, write_page

log = logging.getLogger(__name__)

NUMBERS = "input_generator.numbers"  # all that is fitted
SHOWN = 16  # pictures in the film and in the comparison, and lines in the log
STRIPS, COLUMNS = 8, 16  # strips, and steps shown of each
BESIDE = 4  # pictures below each other before there are two in a row
PAGE = 64  # pictures on the page


def fit(cfg: DictConfig) -> None:
    """Redraw pictures in T steps and write what came of it.

    Into the output go ``picture.png`` (what was to be redrawn, what was, and the best
    approximation of rank T), ``strips.png``, ``film.gif``, ``viewer.html``, ``instructions.npz``
    and ``figures.json``.

    Args:
        cfg: composed from ``configs/fit.yaml``.

    Raises:
        UserError: if there is no picture, or a setting cannot be used.
    """
    size = _check(cfg)
    titles, pictures = _pictures(cfg, size)
    image_range = ImageRange(cfg.model.image_range)
    targets = image_range.from_bytes(pictures).to(pick_device(cfg.device))
    painter = _fitted(cfg, targets)
    done = paint(painter, image_range, torch.eye(len(targets)))
    redrawn = done.show(done.painting.image()).cpu()
    nearest = image_range.to_bytes(best_rank(targets, cfg.num_steps)).cpu()
    ours, theirs = score(redrawn, pictures), score(nearest, pictures)
    output = Path(str(cfg.output or HydraConfig.get().runtime.output_dir)).expanduser()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output={output}: {error.strerror}") from error
    rule = _name(painter.learning_rule)
    _draw(rule, [pictures, redrawn, nearest], (ours, theirs), cfg.num_steps, output)
    _show(painter, image_range, output)
    _write_page(painter, image_range, titles, rule, cfg.iterations, output)
    _write_instructions(done, titles, output)
    _write_figures(cfg, painter, rule, titles, (ours, theirs), output)
    log.info("picture, strips, film, page, instructions and figures written to %s", output)


def _check(cfg: DictConfig) -> tuple[int, int]:
    """Find mistakes before anything is optimised; return the size of pictures."""
    several = ["num_images"] if cfg.num_images is not None else []
    check_numbers(cfg, "num_steps", "iterations", "batch_size", *several)
    for key in ("lr", "gain", "early"):
        with blaming(key):
            check_number(key, cfg[key], zero=key == "early")
    with blaming("image_size"):
        size = as_size(cfg.image_size)
    if min(size) < SMALLEST:
        raise UserError(f"image_size={cfg.image_size}: sides must have {SMALLEST} pixels or more")
    if cfg.channels not in (1, 3, 4):
        raise UserError(f"channels={cfg.channels}: must be 1 (grey), 3 (RGB) or 4 (RGBA)")
    return size


def _pictures(cfg: DictConfig, size: tuple[int, int]) -> tuple[list[str], Tensor]:
    """Return the names of the pictures, and the pictures cropped and resized, uint8 [N C H W]."""
    path = existing(cfg.image, "image")
    if path.is_dir() or path.suffix.lower() == ".zip":
        source = image_source(path, "Give image=PATH, a picture, or a folder or zip file of them")
        num = min(len(source), cfg.num_images or len(source))
        names = [source.title(index) for index in range(num)]
        read = list(islice(render_all(source, size, cfg.channels), num))
    else:
        names = [printable(path.name)]
        read = [pixels_or_reason(lambda: open_file(path), size, cfg.channels)]
    good, reasons = dict[str, Tensor](), dict[str, str]()
    for name, pixels in zip(names, read, strict=True):
        if isinstance(pixels, str):
            reasons[name] = pixels
        else:
            good[name] = torch.from_numpy(pixels)
    if not good:
        name, reason = next(iter(reasons.items()))
        raise UserError(f"image={cfg.image}: {name} cannot be read ({reason}); give a picture")
    for name, reason in reasons.items():
        log.warning("left out %s: %s", name, reason)
    return list(good), torch.stack([*good.values()])


def _fitted(cfg: DictConfig, targets: Tensor) -> FastWeightPainter:
    """Optimise a painter for each batch of targets; return one that paints them all."""

    def new(num: int) -> FastWeightPainter:
        parts = cfg.model.generator
        head, rule = instantiate(parts.head), instantiate(parts.learning_rule)
        with blaming("model.generator"):
            return written_painter(
                num, cfg.num_steps, head, rule, parts.output_activation, cfg.gain, cfg.seed
            ).to(targets.device)

    numbers = []
    with reporting(unit="iterations") as report, blaming("lr"):
        for start in range(0, len(targets), cfg.batch_size):
            batch = targets[start : start + cfg.batch_size]
            painter = new(len(batch))
            what = f"Fitting {start + 1} to {start + len(batch)} of {len(targets)}"
            fit_numbers(painter, batch, cfg.iterations, cfg.lr, cfg.early, report, what)
            numbers.append(painter.state_dict()[NUMBERS])
    painter = new(len(targets))
    painter.load_state_dict({NUMBERS: torch.cat(numbers)})
    return painter


def _name(rule: nn.Module) -> str:
    """Return what a rule was chosen by; one from outside the package is called by its class."""
    chosen = str(HydraConfig.get().runtime.choices["model/learning_rule"])
    return chosen if type(rule).__module__.startswith("fpainter.") else type(rule).__name__


def _draw(
    rule: str, images: list[Tensor], scores: tuple[Scores, Scores], rank: int, output: Path
) -> None:
    """Draw pictures, redrawn ones and best approximations beside each other, a row for each."""
    rows = torch.stack([part[:SHOWN] for part in images], dim=1).flatten(0, 1)
    scale = max(1, (256 if len(rows) == 3 else 128) // max(rows.shape[-2:]))
    means = [each.psnr.mean() for each in scores]
    labels = ["picture", f"{rule} {means[0]:.1f} dB", f"rank {rank} {means[1]:.1f} dB"]
    beside = 1 if len(rows) <= 3 * BESIDE else 2
    labelled(grid(rows, 3 * beside, scale=scale), labels * beside).save(output / "picture.png")


def _show(painter: FastWeightPainter, image_range: ImageRange, output: Path) -> None:
    """Draw strips of the first paintings, and film them."""
    latents = torch.eye(painter.d_latent)
    few = paint(painter, image_range, latents[:STRIPS])
    draw_strips(few, shown_steps(painter.num_steps, COLUMNS)).save(output / "strips.png")
    frames = painting_film([paint(painter, image_range, latents[:SHOWN])], margin=len(latents) == 1)
    save_film(frames, output / "film.gif", hold=2, scale=None)


def _write_page(
    painter: FastWeightPainter,
    image_range: ImageRange,
    titles: list[str],
    rule: str,
    iterations: int,
    output: Path,
) -> None:
    """Write the page in the browser, if it knows how to follow the rule."""
    name = titles[0] if len(titles) == 1 else f"{len(titles)} pictures"
    latents = torch.eye(len(titles))[:PAGE]
    try:
        page = work(Sampler(painter, image_range), latents, f"{name}, {rule}", iterations, "fitted")
    except ValueError as error:
        log.warning("no viewer.html: %s", error)
        return
    write_page([page], output / "viewer.html")


def _write_instructions(done: Painted, titles: list[str], output: Path) -> None:
    """Write key [N C T W], value [N C T H] and rate [N C T 1 or H] as NumPy arrays."""
    parts = done.painting.instructions._asdict()
    arrays = {name: part.float().cpu().numpy() for name, part in parts.items()}
    np.savez_compressed(output / "instructions.npz", pictures=np.array(titles), **arrays)


def _write_figures(
    cfg: DictConfig,
    painter: FastWeightPainter,
    rule: str,
    titles: list[str],
    scores: tuple[Scores, Scores],
    output: Path,
) -> None:
    """Write all figures as JSON, and what matters into the log."""
    names = ("redrawn", "best_rank")
    of_picture = [
        {
            name: {"psnr": float(each.psnr[i]), "ssim": float(each.ssim[i])}
            for name, each in zip(names, scores, strict=True)
        }
        for i in range(len(titles))
    ]
    mean = {
        name: {"psnr": float(each.psnr.mean()), "ssim": float(each.ssim.mean())}
        for name, each in zip(names, scores, strict=True)
    }
    # Behind an activation the image has another rank than the canvas.
    bounds = painter.output_activation == "identity"
    numbers = painter.state_dict()[NUMBERS][0].numel()
    figures = {
        "learning_rule": rule,
        "num_steps": cfg.num_steps,
        "image_size": list(painter.image_size),
        "numbers_per_picture": numbers,
        "iterations": cfg.iterations,
        "lr": cfg.lr,
        "seed": cfg.seed,
        "best_rank_bounds_rank_1_steps": bounds,
        "mean": mean,
        "pictures": [{"name": n, **each} for n, each in zip(titles, of_picture, strict=True)],
    }
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    (output / "figures.json").write_text(text + "\n", encoding="utf-8")
    for title, each in list(zip(titles, of_picture, strict=True))[:SHOWN]:
        log.info("%s: %s", title, _line(each, cfg.num_steps))
    if len(titles) > 1:
        log.info("mean of %d: %s", len(titles), _line(mean, cfg.num_steps))
    note = "which no rule of rank-1 steps can beat" if bounds else "no bound for these settings"
    log.info("%s wrote %s numbers a picture; best rank: truncated SVD of each channel, %s",
             rule, f"{numbers:,}", note)  # fmt: skip


def _line(figures: dict[str, dict[str, float]], rank: int) -> str:
    ours, theirs = figures["redrawn"], figures["best_rank"]
    return (
        f"PSNR {ours['psnr']:.2f} dB, SSIM {ours['ssim']:.4f}; "
        f"best rank {rank}: {theirs['psnr']:.2f} dB, {theirs['ssim']:.4f}"
    )
