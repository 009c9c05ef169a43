"""The house rules that a tool can check: imports go one way, files stay short."""

import ast
import re
from pathlib import Path

import pytest

import fpainter

PACKAGE = Path(fpainter.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A layer imports from those above it only; layers on one line do not see each other.
LAYERS = [
    {"errors", "files", "progress"},
    {"trusted", "paths", "former"},
    {"ops"},
    {"nn"},
    {"data", "generators", "discriminators", "augmentation", "loggers"},
    {"losses"},
    {"training"},
    {"evaluation", "fitting"},
    {"checkpoints"},
    {"pictures"},
    {"viewer", "report"},
    {"callbacks"},
    {"benchmarks"},
    {"launch"},
    {"tasks"},
    {"commands"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def layer(path: Path) -> str:
    """Return the folder of a file; files at the front are commands unless they are a layer."""
    parts = path.relative_to(PACKAGE).parts
    command = parts[-1] == "__main__.py" or (len(parts) == 1 and parts[0][:-3] not in LEVEL)
    return "commands" if command else parts[0].removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fpainter."):
            names.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("fpainter.")}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = layer(path)
    if path == PACKAGE / "__init__.py":
        return
    for other in imported_layers(path) - {own}:
        assert LEVEL[other] < LEVEL[own], f"{own} may not import {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_only_entry_points_and_the_launcher_start_hydra() -> None:
    users = {path for path in FILES if re.search(r"^(import|from) hydra", path.read_text(), re.M)}
    assert {layer(path) for path in users} <= {"tasks", "launch"}
