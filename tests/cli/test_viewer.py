"""The viewer from the command line: what it writes, and what it says when it cannot."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from fpainter.checkpoints.inference import TrainedPainter
from fpainter.generators.base import Generator
from fpainter.generators.sampler import Sampler
from fpainter.nn.activations import ACTIVATIONS
from fpainter.nn.image_range import ImageRange
from fpainter.ops import naive, rank_one
from fpainter.tasks import chosen
from fpainter.viewer.__main__ import main
from tests.cli.conftest import run
from tests.viewer.painters import unpacked

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def call(patch: pytest.MonkeyPatch, *arguments: object) -> None:
    patch.setattr(sys, "argv", ["fpainter-viewer", *map(str, arguments)])
    main()


def works_of(page: Path) -> Any:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


def test_page_in_the_run_directory(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    call(monkeypatch, f"ckpt={ckpt}", "num_images=5", f"hydra.run.dir={tmp_path / 'run'}")
    page = tmp_path / "run" / "viewer.html"
    (painter,) = works_of(page)
    assert len(painter["samples"]) == 5
    assert (painter["steps"], painter["height"], painter["rule"]) == (4, 16, "strokes")
    text = page.read_text(encoding="utf-8")
    assert f"{finished_run.name}/last.ckpt" in text
    assert "Iteration 4 (ema weights). LSTM, ProjectLatent, DeltaRule. T=4, 16×16" in text


def test_images_are_those_of_generate(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "new" / "page.html"
    arguments = (
        f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}", "num_images=3", "seed=5",
        "weights=raw", f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    call(monkeypatch, *arguments, f"output={page}")
    run("generate", *arguments)
    (painter,) = works_of(page)
    for index, sample in enumerate(painter["samples"]):
        key, value = (
            ACTIVATIONS[painter["patterns"][name]["activation"]](
                unpacked(sample[f"{name} order"], 16).reshape(1, 3, 4, 16)
            )
            for name in ("key", "value")
        )
        rate = unpacked(sample["rate"], 1).reshape(1, 3, 4, 1)
        rows, cols = naive.delta_rule(key, value, rate)
        painted = ImageRange("signed").to_bytes(rank_one.image(rows, cols).tanh())[0]
        with Image.open(tmp_path / "images" / f"{index:06d}.png") as exported:
            difference = painted.movedim(0, -1).int().numpy() - np.asarray(exported, dtype=int)
        assert np.abs(difference).max() <= 1


def test_comparison(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last, best = (finished_run / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    page = tmp_path / "pair.html"
    call(
        monkeypatch, f"ckpt={last}", f"compare={best}", "num_images=2", f"output={page}",
        f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    first, other = works_of(page)
    assert len(first["samples"]) == len(other["samples"]) == 2
    assert "last.ckpt and" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ckpt={run}/missing.ckpt"], "there is no such file"),
        (["ckpt={run}/config.yaml"], "not a readable checkpoint"),
        (["ckpt={ckpt}", "compare={run}/missing.ckpt"], "compare={run}/missing.ckpt: there is no"),
        (["ckpt={ckpt}", "compare={run}/config.yaml"], "compare={run}/config.yaml: not a readable"),
        (["ckpt={ckpt}", "compare=5"], "compare=5: there is no such file"),
        (["ckpt={ckpt}", "num_images=x"], "num_images=x: must be at least 1"),
        (["ckpt={ckpt}", "seed=x"], "seed=x: must be a whole number"),
        (["ckpt={ckpt}", "output=5"], "output=5: must end in .html"),
        (["ckpt={ckpt}", "num_images=0"], "num_images=0: must be at least 1"),
        (["ckpt={ckpt}", "weights=none"], "weights=none"),
        (["ckpt={ckpt}", "output={tmp}/page.png"], "must end in .html"),
        (["ckpt={ckpt}", "output={tmp}/folder.html"], "Is a directory"),
        (["ckpt={ckpt}", "num_image=3"], "num_images"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str],
    said: str,
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder.html").mkdir()
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    given = [each.format(run=finished_run, ckpt=ckpt, tmp=tmp_path) for each in arguments]
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, *given, f"hydra.run.dir={tmp_path / 'run'}")
    assert stopped.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("fpainter: ")
    assert said.format(run=finished_run) in message
    assert "Traceback" not in message


class Photographer(Generator):
    """A generator without painting steps."""

    d_latent = 8


def test_a_generator_that_does_not_paint(
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sampler = Sampler(Photographer(), ImageRange("signed"))
    trained = TrainedPainter(sampler, OmegaConf.create(), 1, "ema", Path("a.ckpt"))
    real = chosen.load_painter

    def load(path: str, *rest: Any, **named: Any) -> TrainedPainter:
        return trained if path == "a.ckpt" else real(path, *rest, **named)

    monkeypatch.setattr(chosen, "load_painter", load)
    monkeypatch.chdir(tmp_path)
    Path("a.ckpt").touch()
    with pytest.raises(SystemExit):
        call(monkeypatch, "ckpt=a.ckpt", f"hydra.run.dir={tmp_path}")
    assert "ckpt=a.ckpt: Photographer does not paint in steps" in capsys.readouterr().err
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    with pytest.raises(SystemExit):
        call(monkeypatch, f"ckpt={ckpt}", "compare=a.ckpt", f"hydra.run.dir={tmp_path}")
    assert "compare=a.ckpt: Photographer does not paint in steps" in capsys.readouterr().err
    assert not (tmp_path / "viewer.html").exists()
