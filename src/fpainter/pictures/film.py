"""Films: a painting coming about step by step, and how films are written."""

import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fpainter.nn.sizes import is_whole
from fpainter.pictures.grids import PAPER, beside, enlarge, grid
from fpainter.pictures.selection import Painted

FORMATS = ("gif", "webp", "apng", "mp4")
GIF_FASTEST = 50  # frames a second; browsers slow down what is faster
LONGEST_HOLD = 600  # seconds; a GIF cannot hold a frame for much longer
LARGEST_SCALE = 64
PALETTE_FRAMES = 8  # from which a GIF's colours are chosen
ABOUT = 512  # pixels of a film's longer side
GAP = 1  # pixels between the margin and the image


@dataclass(frozen=True)
class Frames:
    """The frames of a film, each drawn when it is asked for and then forgotten.

    Attributes:
        num: how many there are.
        draw: index in 0..num-1 -> picture, all of one size and mode.
    """

    num: int
    draw: Callable[[int], Image.Image]

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[Image.Image]:
        return map(self.draw, range(self.num))


def painting_film(
    works: Sequence[Painted], columns: int | None = None, margin: bool = False
) -> Frames:
    """Show the canvases after steps 1..T, then the refined images if there are any, a frame each.

    Args:
        works: paintings of equal size, shown as a grid.
        columns: images in a row; None makes the grid as square as it can be.
        margin: show each step's key along the top edge of each image, white where it writes most,
            and its value, in the colours that it writes, down the left side.
    """
    gap = 2 if sum(len(work.painting) for work in works) > 1 else 0

    def draw(index: int) -> Image.Image:
        return grid(torch.cat([_cells(work, index, margin) for work in works]), columns, gap)

    return Frames(works[0].painting.num_steps + (works[0].refined is not None), draw)


def _cells(work: Painted, index: int, margin: bool) -> Tensor:
    """Return the images of a frame as bytes [B C H W] on the CPU, larger by the margin if any."""
    painting = work.painting
    if index == painting.num_steps:
        assert work.refined is not None
        images = work.show(work.refined)
    else:
        images = work.show(painting.canvases([index + 1])[:, 0])
    return (_with_margin(images, work, index) if margin else images).cpu()


def _with_margin(images: Tensor, work: Painted, index: int) -> Tensor:
    """Widen images [B C H W] at the top and the left by the key and value of a step, if any."""
    bar = max(2, min(images.shape[-2:]) // 12)
    wide = bar + GAP
    cells = F.pad(images, (wide, 0, wide, 0), value=PAPER)
    painting = work.painting
    # After the last step nothing is written, nor at a step that has been left out.
    if index < painting.num_steps and index + 1 not in painting.left_out:
        key, value = (painting.along(axis)[:, :, index] for axis in ("columns", "rows"))
        largest = key.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
        cells[..., :bar, wide:] = (255 * key.abs() / largest).to(cells.dtype)[:, :, None]
        value = value.expand(-1, images.shape[1], -1)
        cells[..., wide:, :bar] = work.show(value)[..., None]
        if cells.shape[1] == 4:
            cells[:, 3, :bar, wide:] = cells[:, 3, wide:, :bar] = 255
    return cells


def check_film(kind: Any, fps: Any, hold: Any, scale: Any) -> None:
    """Raise ValueError unless `save_film` can write this; the values may have any type."""
    if kind not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; got {kind}")
    if type(fps) not in (int, float) or not 0 < fps <= 1000:
        raise ValueError(f"fps must be a number above 0 and at most 1000; got {fps}")
    if kind == "gif" and fps > GIF_FASTEST:
        raise ValueError(f"browsers play a GIF's frames at {GIF_FASTEST} fps at most; got {fps}")
    if type(hold) not in (int, float) or not 0 <= hold <= LONGEST_HOLD:
        raise ValueError(f"hold must be from 0 to {LONGEST_HOLD} seconds; got {hold}")
    if scale is not None and not (is_whole(scale) and scale <= LARGEST_SCALE):
        raise ValueError(f"scale must be a whole number from 1 to {LARGEST_SCALE}; got {scale}")
    if kind == "mp4":
        _ffmpeg()


def save_film(
    frames: Frames, path: Path, fps: float = 12, hold: float = 0, scale: int | None = 1
) -> None:
    """Write a film that plays for ever, or for ``.mp4`` once.

    Until a film is finished Pillow keeps all frames at their final size, with a byte per pixel for
    a GIF and three or four for WebP and APNG. The memory for MP4 does not grow with the frames.

    Args:
        frames: at least one.
        path: its suffix names one of `FORMATS`.
        fps: frames a second.
        hold: seconds for which the last frame stays.
        scale: enlargement by whole pixels; None: as much as keeps sides below about `ABOUT`.

    Raises:
        ValueError: if the settings do not fit together, or a library is missing.
    """
    kind = path.suffix[1:]
    check_film(kind, fps, hold, scale)
    scale = scale or max(1, ABOUT // max(frames.draw(0).size))
    if kind == "mp4":
        return _save_mp4(frames, path, fps, hold, scale)
    palette = _palette(frames) if kind == "gif" else None

    def draw(index: int) -> Image.Image:
        picture = frames.draw(index)
        if palette is not None:
            picture = _opaque(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        return enlarge(picture, scale)

    shown = round(1000 / fps)
    draw(0).save(
        path,
        save_all=True,
        # Pillow goes over them twice to write an APNG, so an iterator will not do.
        append_images=Frames(len(frames) - 1, lambda index: draw(index + 1)),
        duration=[shown] * (len(frames) - 1) + [max(shown, round(1000 * hold))],
        loop=0,
        lossless=True,  # read for WebP only; the others always are
    )
    return None


def _palette(frames: Frames) -> Image.Image:
    """Choose the colours of a GIF from frames spread over it.

    One palette for all frames keeps what does not change the same; no dithering, which flickers.
    """
    num = min(PALETTE_FRAMES, len(frames))
    spread = [frames.draw(len(frames) * (i + 1) // num - 1) for i in range(num)]
    return beside([_opaque(frame) for frame in spread]).quantize(256)


def _opaque(frame: Image.Image) -> Image.Image:
    """Put a frame on paper where it is transparent, as RGB."""
    if frame.mode != "RGBA":
        return frame.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame).convert("RGB")


def _ffmpeg() -> Any:
    try:
        return importlib.import_module("imageio_ffmpeg")
    except ModuleNotFoundError as error:
        raise ValueError("mp4 needs imageio-ffmpeg: pip install 'fpainter[video]'") from error


def _save_mp4(frames: Frames, path: Path, fps: float, hold: float, scale: int) -> None:
    """Write H.264 in the colour format that all players know, which needs even sides."""
    width, height = (side * scale + side * scale % 2 for side in frames.draw(0).size)
    writer = _ffmpeg().write_frames(
        str(path), (width, height), fps=fps, quality=8, macro_block_size=2, ffmpeg_log_level="error"
    )
    writer.send(None)
    for frame in itertools.chain(
        frames, itertools.repeat(frames.draw(len(frames) - 1), round(hold * fps) - 1)
    ):
        page = Image.new("RGB", (width, height), "white")
        page.paste(enlarge(_opaque(frame), scale))
        writer.send(page.tobytes())
    writer.close()
