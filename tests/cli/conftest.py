"""Running the entry points in this process, and one small finished run for all tests.

What every run would take most of its time for is left out, see `quicken`; a test can ask for the
``real_network``, and the finished run draws its curves.
"""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from fpainter import benchmark, dataset, export, fit, generate, import_legacy, stats, train
from fpainter import eval as evaluation
from fpainter.callbacks import curves
from fpainter.evaluation import features
from fpainter.evaluation.inception.network import load_inception
from fpainter.pictures.curves import draw_curves
from fpainter.report import __main__ as report
from fpainter.viewer import __main__ as viewer
from tests.evaluation.toys import TinyExtractor

SMALL = [
    "debug=fast",
    "model.generator.num_steps=4",
    "model.generator.d_latent=8",
    "model.generator.d_hidden=16",
    "model/discriminator=convolutional",
    "model.discriminator.widths=[4,6]",
    "data.num_images=12",
]

MAINS: dict[str, Callable[[], None]] = {
    "train": train.main,
    "benchmark": benchmark.main,
    "dataset": dataset.main,
    "eval": evaluation.main,
    "fit": fit.main,
    "generate": generate.main,
    "import-legacy": import_legacy.main,
    "export": export.main,
    "report": report.main,
    "stats": stats.main,
    "viewer": viewer.main,
}


def draw_nothing(metrics: Path, output: Path) -> None:
    """Take the place of `draw_curves`."""
    output.touch()


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Score with a small network and draw no curves."""
    patch.setattr(features, "load_inception", lambda *_: TinyExtractor())
    patch.setattr(curves, "draw_curves", draw_nothing)


def run(command: str, *arguments: object, draw: Callable[[Path, Path], None] = draw_nothing) -> str:
    """Run an entry point; return what it wrote to the standard error; SystemExit passes through."""
    errors = io.StringIO()
    argv = [f"fpainter-{command}", *(str(argument) for argument in arguments)]
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(curves, "draw_curves", draw),
        contextlib.redirect_stderr(errors),
    ):
        try:
            MAINS[command]()
        except SystemExit as stopped:
            message = stopped.code if isinstance(stopped.code, str) else errors.getvalue()
            raise SystemExit(message or stopped.code) from stopped
    return errors.getvalue()


def refused(command: str, *arguments: object) -> str:
    """Run an entry point that must end with a message for people; return the message."""
    with pytest.raises(SystemExit) as stopped:
        run(command, *arguments)
    message = stopped.value.code
    assert isinstance(message, str)
    assert message.startswith("fpainter: ")
    assert "Traceback" not in message
    return message


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
def real_network(_quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Score with the Inception network, of which an image takes an eighth of a second."""
    monkeypatch.setattr(features, "load_inception", load_inception)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four iterations on twelve portraits, scored twice with the small network."""
    directory = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        patch.setenv("FPAINTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run(
            "train", *SMALL, "num_iterations=4", "fid.enabled=true", "fid.every=2",
            "fid.num_images=6", f"hydra.run.dir={directory}", draw=draw_curves,
        )  # fmt: skip
    return directory


STYLED = [
    "debug=fast", "model=gansformer_simplex", "model/discriminator=convolutional",
    "model.discriminator.widths=[4,6]", "model.generator.d_latent=24",
    "model.generator.mapping.num_local=2", "model.generator.mapping.d_w=8",
    "model.generator.mapping.num_layers=3", "model.generator.synthesis.channel_base=64",
    "model.generator.synthesis.channel_max=8", "data.num_images=12",
]  # fmt: skip


@pytest.fixture(scope="session")
def styled_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations of a small GANsformer."""
    directory = tmp_path_factory.mktemp("styled")
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        patch.setenv("FPAINTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run("train", *STYLED, "num_iterations=2", f"hydra.run.dir={directory}")
    return directory
