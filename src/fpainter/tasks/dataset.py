"""Data sets packed into one file, with a report of what is in them."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from fpainter.data.datamodule import ImageDataModule
from fpainter.data.duplicates import NEAR
from fpainter.data.packing import Packed, pack
from fpainter.errors import UserError
from fpainter.files import replacing
from fpainter.nn.sizes import size_text
from fpainter.pictures.grids import grid
from fpainter.tasks.reals import build_data

log = logging.getLogger(__name__)

SHOWN = 5  # of each kind, in the log


def dataset(cfg: DictConfig) -> None:
    """Write ``output`` and, beside it, a contact sheet (``.png``) and the report (``.json``).

    Args:
        cfg: composed from ``configs/dataset.yaml``.

    Raises:
        UserError: if there are no images, or a file is there already.
    """
    output = Path(str(cfg.output)).expanduser()
    if output.suffix.lower() != ".zip":
        raise UserError(f"output={cfg.output}: must be called .zip")
    sheet, report = output.with_suffix(".png"), output.with_suffix(".json")
    for path in (output, sheet, report):
        if path.exists():
            raise UserError(f"output={cfg.output}: there is {path} already; choose another name")
    data: ImageDataModule = build_data(cfg.data, "data")
    if data.crop == "random":
        raise UserError(
            "data.crop=random: a file of finished images can have centre or pad; for random crops "
            "in training, train on the original images"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    # The report last, so that what there is of these files is whole at any time.
    with (
        replacing(report) as new_report,
        replacing(sheet) as new_sheet,
        replacing(output) as new_output,
    ):
        packed = pack(data.source, new_output, data.image_size, data.channels, data.crop)
        images = torch.from_numpy(np.stack(packed.samples))
        grid(images, gap=1).save(new_sheet, "PNG")
        described = describe(packed, data)
        text = json.dumps(described, indent=1, ensure_ascii=False)
        new_report.write_text(text + "\n", encoding="utf-8")
    _log(described, packed)
    log.info("packed into %s; contact sheet %s, report %s", output, sheet.name, report.name)


def describe(packed: Packed, data: ImageDataModule) -> dict[str, Any]:
    """Return the report, plain data; images are called as in the source.

    Args:
        packed: what was packed.
        data: where it came from.
    """

    def named(groups: list[list[int]]) -> list[list[str]]:
        return [[packed.titles[index] for index in group] for group in groups]

    return {
        "source": data.source.name,
        "num_images": len(packed.names),
        "image_size": list(data.image_size),
        "channels": data.channels,
        "crop": data.crop,
        "labels": packed.labels,
        "sizes": [
            {"width": width, "height": height, "mode": mode, "num_images": number}
            for (width, height, mode), number in packed.shapes.most_common()
        ],
        "unreadable": [{"title": title, "reason": why} for title, why in packed.skipped],
        "same_pixels": named(packed.same),
        "nearly_same": {
            "how": f"difference hash of 256 bits, at most {NEAR} of them different",
            "groups": named(packed.nearly_same),
        },
        "names": dict(zip(packed.names, packed.titles, strict=True)),
    }


def _log(report: dict[str, Any], packed: Packed) -> None:
    """Write what matters of the report into the log."""
    size = size_text(report["image_size"])
    log.info("%d images of %s, %s each", report["num_images"], report["source"], size)
    sizes = [f"{s['num_images']} of {s['width']}×{s['height']}" for s in report["sizes"]]
    log.info("sizes before, width×height: %s", _first(sizes))
    if packed.labels:
        log.info("classes: %s", _first([f"{name} {n}" for name, n in packed.labels.items()]))
    if packed.skipped:
        reasons = [f"{title} ({why})" for title, why in packed.skipped]
        log.warning("left out %d that cannot be read: %s", len(reasons), _first(reasons))
    for what, groups in (
        ("the same pixels", report["same_pixels"]),
        ("nearly the same picture", report["nearly_same"]["groups"]),
    ):
        if groups:
            surplus = sum(map(len, groups)) - len(groups)
            shown = _first([" = ".join(map(str, group[:SHOWN])) for group in groups], "; ")
            log.warning("%d images have %s as another one: %s", surplus, what, shown)


def _first(entries: list[str], between: str = ", ") -> str:
    shown = between.join(entries[:SHOWN])
    return f"{shown}{between}… ({len(entries)} in all)" if len(entries) > SHOWN else shown
