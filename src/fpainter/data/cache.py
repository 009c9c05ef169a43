"""All images of a source, decoded once into one memory-mapped uint8 file."""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpainter.data.decode import RENDER_VERSION, check_channels, check_crop, crop_at
from fpainter.data.labels import with_labels
from fpainter.data.render_all import render_all
from fpainter.data.sources import ImageSource
from fpainter.errors import UserError
from fpainter.files import replacing

_log = logging.getLogger(__name__)

_IMAGES = "images.u8"
_META = "meta.json"
_TEMPORARY = re.compile(r"\..+-[0-9a-f]{16}\.[0-9a-f]{12}\.tmp")
_ABANDONED_SECONDS = 24 * 3600
# Its multiples, without their whole parts, fill 0..1 evenly, however many there are.
_GOLDEN = (5**0.5 - 1) / 2


class CachedImages:
    """The images of one cache folder: read-only, memory-mapped uint8 [N C H W].

    Images that are cropped at random are whole in the file, scaled to cover (H, W).

    Nothing is read before it is asked for, and a pickled one reopens the file by its path.

    Attributes:
        folder: the cache folder.
        shape: (N, C, H, W).
        titles: the N images' short names, in order.
        class_names: what label i is called; none where the images have no labels.
        labels: the N images' classes, int64 [N]; None where they have none.
        movable: whether there is more of the images than a batch shows of them.
        skipped: (title, reason) of every image that could not be read.
        fingerprint: the key: changes with the source, the size, the channels and the transform.

    Args:
        folder: a folder written by `cache_images`.

    Raises:
        ValueError: if the folder's files are damaged or do not fit each other.
        OSError: if they cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            meta = json.loads((self.folder / _META).read_text(encoding="utf-8"))
            count, channels, height, width = (int(side) for side in meta["shape"])
            # What titles were called when caches had no labels.
            self.titles: list[str] = list(meta["labels"])
            self.skipped: list[tuple[str, str]] = [(title, why) for title, why in meta["skipped"]]
            self.fingerprint = str(meta["key"])
            extents = meta.get("extents")
            classes = meta.get("classes") or {"names": [], "labels": None}
            self.class_names = tuple(map(str, classes["names"]))
            self.labels = None
            if self.class_names:
                self.labels = torch.tensor(classes["labels"], dtype=torch.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{_META} is damaged: {error!r}") from error
        self.shape = (count, channels, height, width)
        self.movable = extents is not None
        if count < 1 or len(self.titles) != count:
            raise ValueError(f"{_META} lists {len(self.titles)} titles for {count} images")
        size = (self.folder / _IMAGES).stat().st_size
        expected = int(np.prod(self.shape))
        if self.movable:
            sides = np.array(extents, np.int64)
            if sides.shape != (count, 2) or (sides < [height, width]).any():
                raise ValueError(f"{_META} has no size for each of {count} images")
            self._extents = sides
            ends = np.cumsum(channels * sides.prod(axis=1))
            self._starts, expected = ends - channels * sides.prod(axis=1), int(ends[-1])
        if size != expected:
            raise ValueError(f"{_IMAGES} has {size} bytes, not {expected}")
        if self.labels is not None:
            known = (self.labels >= 0) & (self.labels < len(self.class_names))
            if known.shape != (count,) or not known.all():
                raise ValueError(f"{_META} has no label for each of {count} images")
        shape: tuple[int, ...] = (expected,) if self.movable else self.shape
        self._images = np.memmap(self.folder / _IMAGES, np.uint8, mode="r", shape=shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling a memory map would write all of its bytes.
        return CachedImages, (self.folder,)

    def batch(self, indices: Sequence[int] | Tensor, places: Sequence[float] = ()) -> Tensor:
        """Copy some images into memory.

        Args:
            indices: B ints within −N..N−1, repeats allowed.
            places: where to cut each of them if they are `movable`, from 0 to 1. Without, each has
                a place of its own, always the same, and all places are equally common.

        Returns:
            uint8 [B C H W] on the CPU.

        Raises:
            IndexError: if an index is out of range.
            UserError: if something has cut the file since it was opened.
        """
        self._require_whole()
        rows = np.asarray(indices, np.int64)
        if not self.movable:
            return torch.from_numpy(np.take(self._images, rows, axis=0))
        starts, sides = self._starts[rows], self._extents[rows]
        if not len(places):
            places = (rows % len(self) * _GOLDEN % 1).tolist()
        _, channels, *size = self.shape
        result = np.empty((len(rows), channels, *size), np.uint8)
        for image, start, (height, width), place in zip(result, starts, sides, places, strict=True):
            whole = self._images[start : start + channels * height * width]
            image[:] = crop_at(whole.reshape(channels, height, width), (size[0], size[1]), place)
        return torch.from_numpy(result)

    def _require_whole(self) -> None:
        """Look before reading: to read a map beyond the end of its file kills the process."""
        path = self.folder / _IMAGES
        try:
            size = path.stat().st_size
        except FileNotFoundError:  # what is mapped stays readable when its name is deleted
            return
        if size != self._images.size:
            raise UserError(
                f"{path} has {size} bytes, not {self._images.size}: something changed it while it "
                "was in use. Start again, and it is built anew"
            )


def default_cache_dir() -> Path:
    """Return `$FPAINTER_CACHE`, else `$XDG_CACHE_HOME/fpainter`, else `~/.cache/fpainter`."""
    if own := os.environ.get("FPAINTER_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fpainter"


def cache_images(
    source: ImageSource,
    size: tuple[int, int],
    channels: int,
    directory: str | os.PathLike[str],
    crop: str = "centre",
) -> CachedImages:
    """Open the cache of a source's images, building it first where there is none.

    Images that cannot be read are left out, and one warning says so. A cache appears whole or
    not at all, several processes may build the same one at once, and a damaged one is rebuilt.

    Args:
        source: the pictures.
        size: (height, width) of the cached images.
        channels: 1, 3 or 4, as in `render`.
        directory: where all caches are; made when it does not exist.
        crop: as in `render`.

    Returns:
        the images that could be read, in the source's order.

    Raises:
        UserError: if no image can be read, or the directory cannot be written or is full.
        ValueError: if `channels` is none of 1, 3, 4, or `crop` is unknown.
    """
    check_channels(channels)
    check_crop(crop)
    directory = Path(directory).expanduser()
    key = _key(source, size, channels, crop)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", source.name)[:80]
    folder = directory / f"{name}-{key[:16]}"
    cached = _open(folder, key)
    if cached is not None:
        return cached
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(directory)
        _require_space(directory, len(source) * channels * size[0] * size[1])
        with replacing(folder) as temporary:
            temporary.mkdir()
            _build(source, size, channels, crop, key, temporary)
            if folder.exists() and _open(folder, key) is None:
                shutil.rmtree(folder, ignore_errors=True)  # it is damaged
    except OSError as error:
        # No folder replaces one that is there: if another process was first, its cache is used.
        if _open(folder, key) is None:
            raise UserError(
                f"cannot write the image cache in {directory}: {error.strerror or error}. "
                "Set the environment variable FPAINTER_CACHE to a folder with enough space"
            ) from error
    cached = CachedImages(folder)
    if cached.skipped:
        _log.warning(
            "%d of %d images could not be read and are left out: %s. The whole list is in %s.",
            len(cached.skipped),
            len(cached.skipped) + len(cached),
            _reasons(cached.skipped),
            folder / _META,
        )
    return cached


def _key(source: ImageSource, size: tuple[int, int], channels: int, crop: str) -> str:
    content = [source.fingerprint(), *size, channels, RENDER_VERSION]
    if crop != "centre":  # caches from before there was another
        content.append(crop)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _open(folder: Path, key: str) -> CachedImages | None:
    if not folder.exists():
        return None
    try:
        images = CachedImages(folder)
        if images.fingerprint != key:
            raise ValueError(f"{_META} belongs to other images")
        return images
    except (OSError, ValueError) as error:
        _log.warning("The image cache %s is damaged (%s): building it again.", folder, error)
        return None


def _remove_abandoned(directory: Path) -> None:
    """Delete what builds left behind that were killed more than a day ago."""
    for folder in directory.iterdir():
        if not _TEMPORARY.fullmatch(folder.name):
            continue
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError:  # its owner is just finishing
            continue
        if time.time() - newest > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _require_space(directory: Path, size: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < size:
        raise OSError(f"it takes {size / 1e9:.2f} GB and {free / 1e9:.2f} GB are free")


def _build(
    source: ImageSource, size: tuple[int, int], channels: int, crop: str, key: str, folder: Path
) -> None:
    _log.info("Caching %d images of %s at %d×%d.", len(source), source.name, *size)
    titles: list[str] = []
    labels: list[int] = []
    extents: list[tuple[int, ...]] = []
    labelled = with_labels(source)
    skipped: list[tuple[str, str]] = []
    with (
        open(folder / _IMAGES, "wb") as file,
        closing(render_all(source, size, channels, crop)) as results,
    ):
        for index, result in enumerate(results):
            if isinstance(result, np.ndarray):
                file.write(result.data)
                titles.append(source.title(index))
                extents.append(result.shape[1:])
                if labelled:
                    labels.append(labelled.class_label(index))
            else:
                skipped.append((source.title(index), result))
    if not titles:
        raise UserError(f"none of the images of {source.name} can be read: {_reasons(skipped)}")
    meta = {
        "key": key,
        "shape": [len(titles), channels, *size],
        "labels": titles,
        "classes": {"names": labelled.class_names, "labels": labels} if labelled else None,
        "skipped": skipped,
        **({"extents": extents} if crop == "random" else {}),
    }
    (folder / _META).write_text(json.dumps(meta, indent=0), encoding="utf-8")


def _reasons(skipped: list[tuple[str, str]]) -> str:
    shown = "; ".join(f"{title} ({reason})" for title, reason in skipped[:5])
    return f"{shown}; …" if len(skipped) > 5 else shown
