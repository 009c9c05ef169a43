"""Damaged images end as pixels or as an entry in the list of what was left out, never otherwise."""

import random
import resource
import sys
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fpainter.data import render_all
from fpainter.data.cache import cache_images
from fpainter.data.finding import image_source
from fpainter.data.sources import ImageFolder
from tests.security.confinement import GIB, confined
from tests.security.mutations import mutate, with_right_checksums
from tests.security.pictures import all_kinds, encoded, png_header

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
SIZE = (16, 24)
BATCH = 125


def mutants(seed: int, number: int) -> dict[str, bytes]:
    """Return damaged images by their names."""
    kinds = all_kinds()
    result = {}
    for index in range(seed, seed + number):
        rng = random.Random(index)
        data = mutate(rng, kinds[index % len(kinds)], rng.choice(kinds))
        if data.startswith(b"\x89PNG") and rng.random() < 0.7:
            data = with_right_checksums(data)
        result[f"{index:06d}.{rng.choice(('png', 'jpg', 'webp', 'tif', 'bmp'))}"] = data
    return result


def cache_mutants(folder: Path, first: int, number: int) -> dict[str, Any]:
    """Cache damaged images from folders and zip files; return what came of them."""
    warnings.simplefilter("error")
    seconds: list[float] = []
    whole = render_all.render

    def timed(image: Image.Image, size: tuple[int, int], channels: int, crop: str) -> np.ndarray:
        start = time.monotonic()
        try:
            return whole(image, size, channels, crop)
        finally:
            seconds.append(time.monotonic() - start)

    render_all.render = timed  # type: ignore[assignment]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    num_read, reasons = 0, []
    for start in range(first, first + number, BATCH):
        members = {"good.png": all_kinds()[5], **mutants(start, min(BATCH, first + number - start))}
        path = folder / f"images{start}"
        if start // BATCH % 2:
            path.mkdir()
            for name, data in members.items():
                (path / name).write_bytes(data)
        else:
            path = path.with_suffix(".zip")
            with zipfile.ZipFile(path, "w") as file:
                for name, data in members.items():
                    file.writestr(name, data)
        channels = (1, 3, 4)[start // BATCH % 3]
        images = cache_images(image_source(path), SIZE, channels, folder / "cache")
        assert len(images) + len(images.skipped) == len(members)
        assert images.batch(range(len(images))).shape == (len(images), channels, *SIZE)
        num_read += len(images)
        reasons += [reason for _, reason in images.skipped]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "num_read": num_read,
        "reasons": reasons,
        "slowest": max(seconds),
        "memory": (after - before) * 1024,
        "files": sorted(path.name for path in folder.iterdir()),
    }


def check_mutants(folder: Path, first: int, number: int, seconds: float) -> dict[str, Any]:
    found = confined(cache_mutants, folder, first, number, seconds=seconds)
    assert found["harm"] == []
    assert all(name.startswith(("images", "cache", "stderr")) for name in found["files"])
    assert found["slowest"] < 5
    assert found["memory"] < 2 * GIB
    # Neither all nor none got through, or nothing was tried.
    assert 0.1 * number < found["num_read"] < 0.9 * number
    for reason in found["reasons"]:
        assert reason.isprintable(), reason
        assert 0 < len(reason) <= 300, reason
    return found


def test_mutants(tmp_path: Path) -> None:
    check_mutants(tmp_path, 0, 500, seconds=60)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_mutants(part: int, tmp_path: Path) -> None:
    found = check_mutants(tmp_path, 1000 * (part + 1), 1000, seconds=600)
    print({key: found[key] for key in ("num_read", "slowest", "memory")})


def skipped(folder: Path, **images: bytes) -> dict[str, str]:
    """Cache images with a good one; return the reasons for which some were left out."""
    folder.mkdir()
    for name, data in {"good": all_kinds()[0], **images}.items():
        (folder / f"{name}.png").write_bytes(data)
    cached = cache_images(ImageFolder(folder), SIZE, 3, folder.parent / "cache")
    return {label.removesuffix(".png"): reason for label, reason in cached.skipped}


def test_sizes_that_only_a_header_claims(tmp_path: Path) -> None:
    reasons = skipped(
        tmp_path / "in",
        square=png_header(60_000, 60_000),
        billions=png_header(2**31 - 1, 2**31 - 1),
        narrow=png_header(1, 65_535),
        nothing=png_header(0, 0),
    )
    assert "60000×60000" in reasons["square"] or "decompression bomb" in reasons["square"]
    assert set(reasons) == {"square", "billions", "narrow", "nothing"}


def test_a_narrow_picture_is_cropped(tmp_path: Path) -> None:
    narrow = encoded(Image.new("L", (1, 65_535), 9), "PNG")
    assert skipped(tmp_path / "in", narrow=narrow) == {}


# Ghostscript runs the programs in such files, so not even their names may lead to it.
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def read_programs(folder: Path) -> dict[str, Any]:
    return {"reasons": skipped(folder / "in", program=POSTSCRIPT)}


def test_postscript_is_no_image(tmp_path: Path) -> None:
    found = confined(read_programs, tmp_path, seconds=60)
    assert found["harm"] == []
    assert found["reasons"] == {"program": "not an image, or damaged at the start"}


def read_deserts(folder: Path) -> dict[str, Any]:
    """Read pictures of a few kilobytes that take hundreds of megabytes, several at once."""
    wide = encoded(Image.new("I;16", (9400, 9400)), "PNG")
    colour = encoded(Image.new("RGBA", (9400, 9400)), "PNG")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reasons = skipped(folder / "in", a=wide, b=colour, c=wide, d=colour)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"reasons": reasons, "memory": (after - before) * 1024}


@pytest.mark.slow
def test_memory_of_the_largest_pictures(tmp_path: Path) -> None:
    found = confined(read_deserts, tmp_path, seconds=120, memory=3 * GIB)
    assert found["reasons"] == {}
    assert found["memory"] < 2 * GIB
