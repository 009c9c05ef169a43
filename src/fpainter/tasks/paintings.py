"""Strips, films and measures of how images are painted."""

from pathlib import Path

from omegaconf import DictConfig
from PIL import Image

from fpainter.generators.painting import shown_steps
from fpainter.launch.settings import blaming
from fpainter.pictures.film import Frames, painting_film, save_film
from fpainter.pictures.selection import Selection
from fpainter.pictures.spectrum import draw_spectrum, spectrum, write_spectrum
from fpainter.pictures.strips import draw_strips
from fpainter.progress import reporting
from fpainter.tasks.chosen import numbers


def write_strips(selection: Selection, cfg: DictConfig, output: Path) -> list[str]:
    """Write strips of the first images, all of them painters'; return the names of the files."""
    if not cfg.strips.num_images:
        return []
    work = selection.first(cfg.strips.num_images).painted()
    given = numbers(cfg, "strips.steps")
    steps = given or shown_steps(work.painting.num_steps, cfg.strips.num_columns)
    with blaming("strips"):
        strips = draw_strips(work, steps, cfg.strips.normalisation, cfg.strips.scale)
    strips.save(output / "strips.png")
    return ["strips.png"]


def write_film(selection: Selection, cfg: DictConfig, output: Path) -> list[str]:
    """Write the film of the first images; return the names of the files."""
    works = [part.painted() for part in selection.first(cfg.film.num_images).slices()]
    frames = painting_film(works, cfg.film.columns, cfg.film.margin)
    return write_frames(frames, cfg.film, output / "film", cfg.film.hold)


def write_frames(frames: Frames, film: DictConfig, path: Path, hold: float) -> list[str]:
    """Write frames as the film section of the config says; return the names of the files.

    Args:
        frames: of the film.
        film: the section.
        path: of the film, without its suffix.
        hold: seconds for which the last frame stays.
    """
    path = path.with_suffix(f".{film.format}")

    def draw(index: int) -> Image.Image:
        report("Film", index, len(frames))
        return frames.draw(index)

    with reporting(unit="frames") as report, blaming("film"):
        save_film(Frames(len(frames), draw), path, film.fps, hold, film.scale)
    return [path.name]


def write_spectrum_of(selection: Selection, cfg: DictConfig, output: Path) -> list[str]:
    """Write measures of the first images' steps; return the names of the files."""
    parts = selection.first(cfg.spectrum.num_images).slices()
    measured = spectrum(part.painted().painting for part in parts)
    write_spectrum(measured, output / "spectrum.csv")
    draw_spectrum(measured, output / "spectrum.png")
    return ["spectrum.csv", "spectrum.png"]
