"""The notebook of the docs: its cells run, in short and, where Jupyter is, in full."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR
from tests.cli.conftest import quicken, run
from tests.cli.test_commands import pytestmark as pytestmark

PATH = CONFIG_DIR.parent / "docs" / "notebooks" / "painting.ipynb"
SHORT = {"ITERATIONS": 2, "PORTRAITS": 8, "FAKES": 4}


def cells() -> list[str]:
    content = json.loads(PATH.read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last line, if it is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(PATH), "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), str(PATH), "eval"), names)


start = subprocess.run


def in_this_process(command: list[str], **options: Any) -> Any:
    """Run a command of ours, for which the cells start a process; start others."""
    if command[:2] != [sys.executable, "-m"]:
        return start(command, **options)
    module, *settings = command[2:]
    return run(module.removeprefix("fpainter."), *settings)


def test_it_is_stored_without_outputs() -> None:
    content = json.loads(PATH.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in content["cells"])


def test_the_cells_run_in_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    display = ModuleType("IPython.display")
    display.HTML = str  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("subprocess.run", in_this_process)
    quicken(monkeypatch)
    names: dict[str, Any] = {"__name__": "__main__"}
    settings, *others = cells()
    run_cell(settings, names)
    assert names.keys() >= SHORT.keys()
    names |= SHORT
    shown = [run_cell(cell, names) for cell in others]
    pictures = [picture for picture in shown if isinstance(picture, Image.Image)]
    assert len(pictures) == 4
    assert pictures[-1].width >= 2 * 256
    assert any(str(page).startswith("<iframe srcdoc=") for page in shown)
    assert "png" in capfd.readouterr().out  # the score's protocol


@pytest.mark.slow
def test_jupyter_runs_it(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs the extra `notebook`")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebook`")
    pytest.importorskip("ipykernel", reason="needs the extra `notebook`")
    notebook = nbformat.read(PATH, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=1800, resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
