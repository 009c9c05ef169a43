"""Painters to give away: a folder of safetensors, plain JSON and a model card."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError
from safetensors.torch import save_file

from fpainter import __version__
from fpainter.errors import UserError, first_line
from fpainter.generators.base import Generator
from fpainter.generators.pretrained import (
    CONFIG,
    FORMAT,
    WEIGHTS,
    import_hub,
    locate,
    read_config,
)
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.nn.sizes import as_size

CARD = "README.md"
# Settings of the data and of the scores that say something about a computer and not the painter.
LOCAL = ("dir", "shards", "path", "cache_dir", "weights_path")


@dataclass(frozen=True)
class TrainedPainter:
    """A generator as training left it.

    Attributes:
        sampler: draws its images.
        config: the resolved config of the run, plain data; of an exported one, what its images and
            their scores depend on.
        iteration: iterations trained.
        weights: ``ema`` or ``raw``.
        path: the file or folder it came from.
    """

    sampler: Sampler
    config: DictConfig
    iteration: int
    weights: str
    path: Path


def load_pretrained(path: str | Path, device: torch.device | str = "cpu") -> TrainedPainter:
    """Load what ``fpainter.export`` wrote.

    Args:
        path: the folder, or ``owner/name`` on the Hugging Face hub.
        device: where to put it.

    Returns:
        The generator in evaluation mode.

    Raises:
        UserError: if there is no such folder, or it cannot be used.
    """
    folder = locate(path)
    description = read_config(folder)
    generator = Generator.from_pretrained(folder).to(device)
    try:
        config = OmegaConf.create(description["config"])
        sampler = Sampler(generator, ImageRange(config.model.image_range))
    except (ValueError, OmegaConfBaseException) as error:
        raise UserError(f"{folder / CONFIG}: {first_line(error)}") from error
    return TrainedPainter(sampler, config, description["iteration"], description["weights"], folder)


def save_pretrained(
    folder: str | Path,
    painter: TrainedPainter,
    best_fid: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a painter's weights, description and model card.

    They are written beside the folder and put in its place when they are complete.

    Args:
        folder: to be made.
        painter: what to write.
        best_fid: ``value`` and ``protocol`` of the lowest FID of its run; None if not known.
        overwrite: replace an exported painter that is there.

    Raises:
        UserError: if the folder exists and is not to be replaced, or cannot be written.
    """
    folder = Path(folder).expanduser().resolve()
    if folder.exists() and not overwrite:
        raise UserError(f"output={folder}: exists; overwrite=true replaces it")
    if folder.exists() and not _is_exported(folder):
        raise UserError(f"output={folder}: is not an exported painter alone, so it stays as it is")
    description = _describe(painter, best_fid)
    state = painter.sampler.generator.state_dict()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            new = Path(temporary) / "new"
            new.mkdir()
            save_file(
                {name: tensor.cpu().contiguous() for name, tensor in state.items()},
                new / WEIGHTS,
                metadata={"format": "fpainter", "version": __version__},
            )
            text = json.dumps(description, indent=2, allow_nan=False)
            (new / CONFIG).write_text(text + "\n", encoding="utf-8")
            (new / CARD).write_text(_card(painter, description, folder.name), encoding="utf-8")
            if folder.exists():
                folder.rename(Path(temporary) / "old")
            new.rename(folder)
    except (OSError, SafetensorError) as error:
        raise UserError(f"output={folder}: {error}") from error


def push_to_hub(folder: str | Path, name: str) -> None:
    """Upload an exported painter to the Hugging Face hub.

    Args:
        folder: from `save_pretrained`.
        name: ``owner/name``; made if there is no such repository.

    Raises:
        UserError: if huggingface_hub is not installed, or the hub refuses.
    """
    hub = import_hub()
    try:
        hub.create_repo(name, exist_ok=True)
        hub.upload_folder(
            repo_id=name, folder_path=str(folder), allow_patterns=[CONFIG, WEIGHTS, CARD]
        )
    except Exception as error:  # whatever the network or the hub answers
        raise UserError(f"push={name}: {first_line(error)}") from error


def _is_exported(folder: Path) -> bool:
    """Say whether a folder holds what `save_pretrained` writes, and nothing else."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS, CARD}


def _describe(painter: TrainedPainter, best_fid: dict[str, Any] | None) -> dict[str, Any]:
    """Return what ``config.json`` says."""
    config = OmegaConf.to_container(painter.config, resolve=True)
    assert isinstance(config, dict)
    shared = {
        section: {key: None if key in LOCAL else value for key, value in config[section].items()}
        for section in ("data", "fid")
    }
    return {
        "fpainter": __version__,
        "format": FORMAT,
        "iteration": painter.iteration,
        "weights": painter.weights,
        "best_fid": best_fid,
        "config": {
            "image_size": config["image_size"],
            "model": {key: config["model"][key] for key in ("image_range", "generator")},
            **shared,
        },
    }


def _card(painter: TrainedPainter, description: dict[str, Any], name: str) -> str:
    """Return the model card."""
    generator = painter.sampler.generator
    channels = painter.config.data.channels
    height, width = as_size(painter.config.image_size)
    millions = sum(p.numel() for p in generator.parameters()) / 1e6
    best = description["best_fid"]
    score = (
        f"{best['value']:.2f} ({best['protocol']}), the lowest of its run" if best else "unknown"
    )
    raw = " weights=raw" if painter.weights == "raw" else ""
    return f"""\
---
library_name: fpainter
pipeline_tag: unconditional-image-generation
---

# {name}

A trained `{type(generator).__name__}` of the Python package `fpainter`, version {__version__}
(Fast Weight Painters; Irie & Schmidhuber, ICLR 2023).

- images: {height}×{width} pixels, {channels} channels
- parameters: {millions:.2f} million
- training: {painter.iteration:,} iterations, {painter.weights} weights
- FID: {score}

`model.safetensors` holds its tensors, `config.json` says how it is built.

```bash
python -m fpainter.generate ckpt=FOLDER num_images=64{raw}   # FOLDER: where these files are
```

```python
import torch
from fpainter.checkpoints.pretrained import load_pretrained

painter = load_pretrained("FOLDER").sampler  # or "owner/name" on the Hugging Face hub
images = painter(torch.randn(4, painter.d_latent))  # uint8 [4 {channels} {height} {width}]
```
"""
