"""A learning rule from outside the package goes the whole way: trained, resumed, painted, shown."""

import importlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR
from fpainter.testing import check_rule
from tests.cli.conftest import SMALL, refused, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]

MODULE = "examples.curtain"
CUSTOM = [
    "model/learning_rule=custom", f"model.generator.learning_rule._target_={MODULE}.CurtainRule",
]  # fmt: skip


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the last checkpoint of two iterations of training, for which nothing is trusted."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FPAINTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.syspath_prepend(CONFIG_DIR.parent)
        run("train", *SMALL, *CUSTOM, "num_iterations=2", f"hydra.run.dir={folder}")
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(CONFIG_DIR.parent)
    monkeypatch.setenv("FPAINTER_TRUST", MODULE)


def test_the_example_is_right() -> None:
    check_rule(importlib.import_module(MODULE).CurtainRule())


def test_the_target_must_be_given() -> None:
    message = refused("train", *SMALL, CUSTOM[0])
    assert "model.generator.learning_rule._target_=..." in message
    message = refused("train", *SMALL, CUSTOM[0], f"{CUSTOM[1]}s")
    assert message.startswith(f"fpainter: cannot find {MODULE}.CurtainRules: ModuleNotFoundError")
    assert "or add that folder to PYTHONPATH (in model.generator.learning_rule)" in message


@pytest.mark.usefixtures("_trusted")
def test_it_resumes_and_paints(last: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    run("train", f"ckpt={last}", "num_iterations=3", f"hydra.run.dir={copy}")
    assert torch.load(copy / "checkpoints" / "last.ckpt", weights_only=True)["iteration"] == 3
    one, two = tmp_path / "one", tmp_path / "two"
    what = ["what=[images,strips,film]", "num_images=2", "film.margin=true"]
    run("generate", f"ckpt={last}", *what, f"hydra.run.dir={one}")
    assert {path.name for path in one.iterdir()} >= {"strips.png", "film.gif", "images"}
    folder = tmp_path / "painter"
    run("export", f"ckpt={last}", f"output={folder}", f"hydra.run.dir={tmp_path / 'log'}")
    run("generate", f"ckpt={folder}", *what, f"hydra.run.dir={two}")
    for name in ("strips.png", "images/000001.png"):
        with Image.open(one / name) as a, Image.open(two / name) as b:
            assert a.tobytes() == b.tobytes()


@pytest.mark.usefixtures("_trusted")
def test_its_page(last: Path, tmp_path: Path) -> None:
    """A page that cannot follow the rule says so."""
    page = tmp_path / "page.html"
    options = [f"ckpt={last}", f"output={page}", "num_images=2", f"hydra.run.dir={tmp_path}"]
    said = ""
    try:
        run("viewer", *options)
    except SystemExit as stopped:
        said = str(stopped.code)
    assert "CurtainRule" in (said or page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", ["generate", "viewer", "eval", "export"])
def test_it_is_refused_where_it_is_not_trusted(command: str, last: Path, tmp_path: Path) -> None:
    output = [f"output={tmp_path / 'painter'}"] if command == "export" else []
    message = refused(command, f"ckpt={last}", *output, f"hydra.run.dir={tmp_path / 'run'}")
    assert f"refuses to build '{MODULE}.CurtainRule'" in message
    assert f"set the environment variable FPAINTER_TRUST={MODULE}" in message
