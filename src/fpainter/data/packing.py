"""Any collection of pictures as one zip file, and what was found in it on the way."""

import json
import zipfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fpainter.data.duplicates import difference_hash, exact_hash, nearly_same, same
from fpainter.data.formats.arrays import picture
from fpainter.data.labels import JSON, with_labels
from fpainter.data.render_all import render_all
from fpainter.data.sources import ImageSource
from fpainter.errors import UserError

_TIME = (1980, 1, 1, 0, 0, 0)  # the same images always make the same file


@dataclass
class Packed:
    """What was packed.

    Attributes:
        shapes: how many pictures had each size (width, height) and mode of Pillow's before.
        names: of the images in the zip file.
        titles: of the same, in the source.
        skipped: (title, reason) of what could not be read.
        same: groups of places in `names` with the same pixels.
        nearly_same: groups of places with nearly the same picture, each of `same` once.
        labels: how many images each class has; empty without labels.
        samples: up to `num_samples` images from all over, uint8 [C H W].
    """

    shapes: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    same: list[list[int]] = field(default_factory=list)
    nearly_same: list[list[int]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    samples: list[np.ndarray] = field(default_factory=list)


class _Seen:
    """A source that counts the sizes of what is opened, whether or not it can be decoded."""

    def __init__(self, source: ImageSource) -> None:
        self.name = source.name
        self.shapes: Counter[tuple[int, int, str]] = Counter()
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def fingerprint(self) -> str:
        return self._source.fingerprint()

    def title(self, index: int) -> str:
        return self._source.title(index)

    def open(self, index: int) -> Image.Image:
        image = self._source.open(index)
        self.shapes[image.width, image.height, image.mode] += 1
        return image


def pack(
    source: ImageSource,
    path: Path,
    size: tuple[int, int],
    channels: int,
    crop: str = "centre",
    num_samples: int = 100,
) -> Packed:
    """Write the images of a source into a zip file as StyleGAN3's tool does.

    They become `00000/img00000000.png` and so on, rendered as for training: a painter that is
    trained on the zip file sees the same pixels. Where there are labels, `dataset.json` has them,
    and the names of the classes.

    Args:
        source: the pictures; those that cannot be read are left out.
        path: a new file.
        size: (height, width) of the images.
        channels: 1, 3 or 4.
        crop: ``centre`` or ``pad``, as in `render`.
        num_samples: how many images to return.

    Raises:
        UserError: if no image can be read.
        OSError: if the file cannot be written.
    """
    seen, found, labels = _Seen(source), Packed(), list[int]()
    labelled = with_labels(source)
    exact, hashes = list[bytes](), list[np.ndarray]()
    step = max(1, len(source) // num_samples)
    with (
        zipfile.ZipFile(path, "x") as archive,
        closing(render_all(seen, size, channels, crop, "Packing")) as results,
    ):
        for index, result in enumerate(results):
            if isinstance(result, str):
                found.skipped.append((source.title(index), result))
                continue
            number = f"{len(found.names):08d}"
            found.names.append(f"{number[:5]}/img{number}.png")
            found.titles.append(source.title(index))
            if labelled:
                labels.append(labelled.class_label(index))
            _write(archive, found.names[-1], _png(result))
            exact.append(exact_hash(result))
            hashes.append(difference_hash(result))
            if index % step == 0 and len(found.samples) < num_samples:
                found.samples.append(result)
        if not found.names:
            title, reason = found.skipped[0]
            raise UserError(f"no image of {source.name} can be read: {title} ({reason}), …")
        if labelled:
            pairs = [list(pair) for pair in zip(found.names, labels, strict=True)]
            names = labelled.class_names
            found.labels = {name: labels.count(label) for label, name in enumerate(names)}
            content: dict[str, Any] = {"labels": pairs, "class_names": list(names)}
            _write(archive, JSON, json.dumps(content, ensure_ascii=False).encode())
    found.shapes = seen.shapes
    found.same = same(exact)
    first = sorted({*range(len(exact))} - {i for group in found.same for i in group[1:]})
    near = nearly_same(np.stack(hashes)[first])
    found.nearly_same = [[first[place] for place in group] for group in near]
    return found


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    picture(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)
