"""What a checkpoint says of its run: config, overrides, versions and revision."""

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fpainter import __version__

FORMAT = 1  # of what a record adds to a checkpoint
PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "pillow", "numpy")


def record(config: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return what lets a checkpoint be used without its run directory.

    Args:
        config: the resolved config of the run, plain data.
        overrides: the command line's overrides, in order.
    """
    return {"format": FORMAT, "version": __version__, "config": config, "overrides": overrides}


def in_hydras_grammar(value: Any) -> str:
    """Write a value, plain data, as an override has it behind the equals sign."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{in_hydras_grammar(v)}' for key, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(in_hydras_grammar, value))}]"
    if isinstance(value, str):
        # A backslash stands for itself, except before a quote.
        return '"' + re.sub(r'(\\+)(?="|\Z)', r"\1\1", value).replace('"', '\\"') + '"'
    return json.dumps(value)


def environment() -> dict[str, Any]:
    """Return versions, machine and, in a checkout, the git revision of this package."""
    from torch import get_num_threads  # slow to import, and the command line needs this module

    return {
        "fpainter": __version__,
        "git": git_revision(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": processor(),
        "threads": get_num_threads(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def processor() -> str:
    """Return the name of the processor, or of its kind where the system tells no more."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def git_revision() -> str | None:
    """Return the revision of the checkout this package runs from, `-dirty` when changed.

    None outside a checkout, also when an environment with this package lies in another project's.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / "src" / "fpainter").is_dir():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
