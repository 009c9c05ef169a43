"""A small valid file of each kind that painters, statistics and images are kept in."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from fpainter.checkpoints.inference import load_painter
from fpainter.data.cache import CachedImages, cache_images
from fpainter.data.sources import ImageFolder
from fpainter.evaluation.statistics_file import write
from fpainter.generators.pretrained import save_pretrained
from tests.checkpoints.test_legacy import write_original
from tests.checkpoints.test_pretrained import PAINTER, write_checkpoint

RECORD: dict[str, Any] = {"format": 1, "version": "0", "config": {}, "overrides": []}
SHAPES = {"mean": (6,), "cov": (6, 6), "sqrt_cov": (6, 6)}


def statistics() -> dict[str, torch.Tensor]:
    """Return what the statistics file holds."""
    count = torch.arange(6, dtype=torch.float64)
    return {"mean": count, "cov": torch.diag(count), "sqrt_cov": torch.diag(count.sqrt())}


def cached_images(folder: Path) -> CachedImages:
    """Return the two images 8×6 that `write_all` writes, from their cache."""
    return cache_images(ImageFolder(folder / "images"), (8, 6), 1, folder / "cache")


def write_all(folder: Path) -> dict[str, Path]:
    """Write one file of each kind below a folder; return them by what they are."""
    checkpoint = write_checkpoint(folder / "run.ckpt", PAINTER)
    save_pretrained(folder / "painter", load_painter(checkpoint))
    write_original(folder / "original")
    file = folder / "cache" / "statistics" / "key.safetensors"
    write(file, statistics())
    (folder / "images").mkdir()
    for value, name in enumerate(("a.png", "b.png")):
        Image.new("L", (9, 9), value).save(folder / "images" / name)
    return {
        "checkpoint": checkpoint,
        "config": folder / "painter" / "config.json",
        "tensors": folder / "painter" / "model.safetensors",
        "statistics": file,
        "original": folder / "original" / "model_1.pt",
        "images": cached_images(folder).folder / "meta.json",
    }


def pickle_of(checkpoint: bytes) -> bytes:
    """Return what describes the tensors in a file by `torch.save`."""
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))


def with_pickle(checkpoint: bytes, description: bytes) -> bytes:
    """Return the file with another description, and right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, description if name.endswith("data.pkl") else old.read(name))
    return buffer.getvalue()


def saved(content: Any) -> bytes:
    """Return what `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
