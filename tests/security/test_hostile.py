"""Files made to run programs, or to take all memory: none is accepted, none has an effect."""

import json
import os
import pickle
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.checkpoints.inference import load_painter, read_checkpoint
from fpainter.checkpoints.legacy.checkpoint import read_original
from fpainter.errors import UserError
from tests.security.confinement import GIB, confined
from tests.security.files import RECORD, saved, write_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


class Trap:
    """Unpickled, it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def set_traps(folder: Path) -> dict[str, Any]:
    """Read files with programs in them; return those that were not refused."""
    accepted, marker = [], folder / "sprung"
    system, touch = Trap(os.system, f"touch {marker}"), Trap(Path.touch, marker)
    evaluate = Trap(eval, f"open({str(marker)!r}, 'w')")
    for trap in (system, touch, evaluate, [{"a": (system,)}], Trap(bytearray, 20 * GIB)):
        contents = [
            trap,
            {"fpainter": RECORD, "state_dict": {"generator.a": trap}, "iteration": 1},
            {"GAN": {"G.a": trap}},
        ]
        for number, content in enumerate(contents):
            file = folder / f"trap{number}.pt"
            for data in (saved(content), pickle.dumps(content, 2), pickle.dumps(content, 5)):
                file.write_bytes(data)
                for reader in (read_checkpoint, read_original):
                    try:
                        reader(file)
                        accepted.append(str(content))
                    except UserError:
                        pass
            torch.save(content, file, _use_new_zipfile_serialization=False)
            try:
                read_original(file)
                accepted.append(str(content))
            except UserError:
                pass
    return {"accepted": accepted}


FOREIGN = [
    {"_target_": "os.system", "command": "touch sprung"},
    {"_target_": "subprocess.run", "args": ["touch", "sprung"]},
    {"_target_": "builtins.eval", "_args_": ["open('sprung', 'w')"]},
    {"_target_": "hydra.utils.get_method", "path": "os.system"},
    {"_target_": "torch.hub.load", "repo_or_dir": "a/b", "model": "c"},
    {"_target_": "fpainter.launch.command.os.system", "command": "touch sprung"},
    {"_target_": "torch.nn.Module.register_module"},
    # Constructors that read further files, the first one also from the network.
    {"_target_": "fpainter.generators.painter.FastWeightPainter.from_pretrained", "path": "a/b"},
    {"_target_": "torch.nn.Embedding.from_pretrained", "embeddings": [[1.0]]},
    {"_target_": "fpainter.loggers.metrics_file.MetricsFile", "directory": "sprung"},
    {"_target_": "${oc.env:TARGET}", "command": "touch sprung"},
]


def name_foreign_code(folder: Path) -> dict[str, Any]:
    """Read configs that name other programs than painters; return those not refused."""
    accepted = []
    os.environ["TARGET"] = "os.system"
    paths = write_all(folder)
    description = json.loads(paths["config"].read_text())
    checkpoint = torch.load(paths["checkpoint"], weights_only=True)
    generator = dict(checkpoint["fpainter"]["config"]["model"]["generator"])
    for foreign in FOREIGN:
        for node in (foreign, {**generator, "head": foreign}, {**generator, "extra": [foreign]}):
            description["config"]["model"]["generator"] = node
            paths["config"].write_text(json.dumps(description))
            checkpoint["fpainter"]["config"]["model"]["generator"] = node
            torch.save(checkpoint, paths["checkpoint"])
            for path in (paths["checkpoint"], paths["config"].parent):
                try:
                    load_painter(path)
                    accepted.append(f"{path.name} {node}")
                except UserError as error:
                    if "refuses to build" not in str(error):
                        accepted.append(str(error))
    return {"accepted": accepted}


ENORMOUS: list[dict[str, Any]] = [
    {"d_hidden": 10**7},
    {"d_hidden": 10**30},
    {"d_hidden": -1},
    {"d_latent": 1e9},
    {"num_steps": "x"},
]


def ask_for_enormous_painters(folder: Path) -> dict[str, Any]:
    """Read configs of painters that no computer can hold; return those not refused."""
    accepted = []
    paths = write_all(folder)
    whole = paths["config"].read_text()
    checkpoint = torch.load(paths["checkpoint"], weights_only=True)
    for change in ENORMOUS:
        description = json.loads(whole)
        description["config"]["model"]["generator"].update(change)
        paths["config"].write_text(json.dumps(description))
        checkpoint["fpainter"]["config"]["model"] = description["config"]["model"]
        torch.save(checkpoint, paths["checkpoint"])
        for path in (paths["checkpoint"], paths["config"].parent):
            try:
                load_painter(path)
                accepted.append(f"{path.name} {change}")
            except UserError:
                pass
    return {"accepted": accepted}


def try_all(folder: Path) -> dict[str, Any]:
    """Do all of the above in one process; return what was not refused, and whether it ran."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = []
    for task in (set_traps, name_foreign_code, ask_for_enormous_painters):
        part = folder / task.__name__
        part.mkdir()
        results.append(task(part))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "accepted": [content for result in results for content in result["accepted"]],
        "sprung": [path.name for path in folder.rglob("sprung")],
        "memory": (after - before) * 1024,
    }


def test_nothing_hostile_is_accepted(tmp_path: Path) -> None:
    found = confined(try_all, tmp_path, seconds=200)
    assert found["memory"] < GIB
    del found["memory"]
    assert found == {"accepted": [], "sprung": [], "harm": []}
