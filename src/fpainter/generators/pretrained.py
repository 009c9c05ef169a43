"""Painters to give away: a folder of safetensors, plain JSON and a model card."""

import importlib
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fpainter import __version__
from fpainter.errors import UserError, first_line
from fpainter.files import replacing
from fpainter.former import with_current_names
from fpainter.generators.trained import TrainedPainter, check_format, rebuild
from fpainter.nn.sizes import as_size
from fpainter.paths import is_hub_name

FORMAT = 1  # of the folder
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
# Settings of the data and of the scores that say something about a computer and not the painter.
LOCAL = ("dir", "shards", "path", "cache_dir", "weights_path")


def load_pretrained(path: str | Path, device: torch.device | str = "cpu") -> TrainedPainter:
    """Load what ``fpainter.export`` wrote.

    Args:
        path: the folder; where there is none, ``owner/name`` on the Hugging Face hub.
        device: where to put it.

    Returns:
        The generator in evaluation mode and without gradients.

    Raises:
        UserError: if there is neither, or it cannot be used.
    """
    folder = _locate(path)
    description = read_config(folder)
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS}: not a readable safetensors file ({error})") from error
    return rebuild(description, state, folder, f"{folder / CONFIG}", device)


def read_config(folder: Path) -> dict[str, Any]:
    """Read what an exported generator is.

    Args:
        folder: written by `save_pretrained`.

    Returns:
        ``format``, ``fpainter`` (version), ``iteration``, ``weights``, ``best_fid`` and the part
        of the run's ``config`` that its images depend on.

    Raises:
        UserError: if the folder is not one of ours.
    """
    path = folder / CONFIG
    if not path.is_file():
        if (folder / "checkpoints").is_dir():
            raise UserError(f"{folder}: is a run directory; give {folder}/checkpoints/last.ckpt")
        raise UserError(f"{folder}: not written by fpainter.export: it has no {CONFIG}")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(description, dict) or "fpainter" not in description:
        raise UserError(f"{path}: not written by fpainter.export")
    check_format(description.get("format"), description["fpainter"], FORMAT, f"{path}")
    description["config"] = with_current_names(description.get("config"), f"{path}")
    return description


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
        with ExitStack() as afterwards, replacing(folder) as new:
            new.mkdir()
            save_file(
                {name: tensor.cpu().contiguous() for name, tensor in state.items()},
                new / WEIGHTS,
                metadata={"format": "fpainter"},  # of two entries the order would be random
            )
            text = json.dumps(description, indent=2, allow_nan=False)
            (new / CONFIG).write_text(text + "\n", encoding="utf-8")
            (new / CARD).write_text(_card(painter, best_fid, folder.name), encoding="utf-8")
            if folder.exists():
                old = folder.rename(new.with_suffix(".old"))
                afterwards.callback(_delete_or_restore, old, folder)
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
    with _hub(f"push={name}") as hub:
        hub.create_repo(name, exist_ok=True)
        hub.upload_folder(
            repo_id=name, folder_path=str(folder), allow_patterns=[CONFIG, WEIGHTS, CARD]
        )


def _locate(path: str | Path) -> Path:
    """Return the folder, fetched from the hub if need be."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not is_hub_name(path):
        raise UserError(f"{path}: there is no such folder")
    with _hub(f"{path}: no such folder, nor on the hub") as hub:
        return Path(hub.snapshot_download(str(path), allow_patterns=[CONFIG, WEIGHTS]))


@contextmanager
def _hub(message: str) -> Iterator[Any]:
    """Yield the module ``huggingface_hub``; give a reason to the message if something fails."""
    try:
        yield importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UserError(f"{message} (it needs pip install 'fpainter[hub]')") from error
    except Exception as error:  # whatever the network or the hub answers
        raise UserError(f"{message} ({first_line(error)})") from error


def _is_exported(folder: Path) -> bool:
    """Say whether a folder holds what `save_pretrained` writes, and nothing else."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS, CARD}


def _delete_or_restore(old: Path, folder: Path) -> None:
    """Delete a folder that was replaced; put it back if nothing took its place."""
    if folder.exists():
        shutil.rmtree(old)
    else:
        old.rename(folder)


def _describe(painter: TrainedPainter, best_fid: dict[str, Any] | None) -> dict[str, Any]:
    """Return what ``config.json`` says."""
    config: Any = OmegaConf.to_container(painter.config, resolve=True)
    shared = {
        section: {key: None if key in LOCAL else value for key, value in config[section].items()}
        for section in ("data", "fid")
    }
    model = {key: config["model"][key] for key in ("image_range", "generator")}
    return {
        "fpainter": __version__,
        "format": FORMAT,
        "iteration": painter.iteration,
        "weights": painter.weights,
        "best_fid": best_fid,
        "config": {"image_size": config["image_size"], "model": model, **shared},
    }


def _card(painter: TrainedPainter, best_fid: dict[str, Any] | None, name: str) -> str:
    """Return the model card."""
    generator = painter.sampler.generator
    height, width = as_size(painter.config.image_size)
    fid = "{value:.2f} ({protocol}), the lowest of its run".format(**best_fid) if best_fid else None
    template = Path(__file__).with_name("model_card.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        name=name,
        kind=type(generator).__name__,
        version=__version__,
        height=height,
        width=width,
        channels=painter.config.data.channels,
        millions=f"{sum(p.numel() for p in generator.parameters()) / 1e6:.2f}",
        iterations=f"{painter.iteration:,}",
        weights=painter.weights,
        fid=fid or "unknown",
        classes=", ".join(generator.label_names()) or "none",
        label=", torch.tensor([0, 0, 1, 1])" if generator.num_labels else "",
        option="" if painter.weights == "ema" else f" weights={painter.weights}",
    )
