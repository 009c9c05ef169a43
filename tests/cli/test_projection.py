"""A picture, and how a generator would paint it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpainter.errors import UserError
from fpainter.tasks import projection
from tests.cli.conftest import refused, run
from tests.cli.test_generate import names

QUICK = ["what=projection", "projection.num_steps=3", "projection.num_candidates=2"]


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "a picture.png"
    pixels = np.linspace(0, 255, 20 * 30 * 4).reshape(20, 30, 4).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_how_a_painter_would_paint_it(finished_run: Path, picture: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "out"
    command = [ckpt, *QUICK, f"image='{picture}'", "projection.features=0", "truncation=0.5"]
    for folder in (one, two):
        run("generate", *command, "film.format=apng", f"hydra.run.dir={folder}")
        assert names(folder) == {"projection"}
    found = one / "projection"
    assert names(found) == {"projection.png", "latents.npz", "strips.png", "film.apng"}
    for name in names(found):
        assert (two / "projection" / name).read_bytes() == (found / name).read_bytes()
    assert "projection in z: distance" in (one / "generate.log").read_text()
    # Latents of a file are projected, and stored, with its truncation.
    stored = f"latents={found / 'latents.npz'}"
    more = [*QUICK, f"image='{picture}'", "projection.features=0", "film.format=apng"]
    run("generate", ckpt, stored, *more, f"hydra.run.dir={tmp_path / 'three'}")
    with np.load(tmp_path / "three" / "projection" / "latents.npz") as file:
        assert file["truncation"] == 0.5
    run("generate", ckpt, stored, "what=images", f"hydra.run.dir={out}")
    with (
        Image.open(found / "projection.png") as sheet,
        Image.open(out / "images" / "000000.png") as image,
    ):
        left = 1 + 2 * (16 + 1)
        last = sheet.crop((6 * left, 6, 6 * (left + 16), 6 * 17)).resize((16, 16), 0)
        np.testing.assert_array_equal(last, image)


def test_features_take_part_where_there_are_weights(
    styled_run: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ckpt = f"ckpt={styled_run / 'checkpoints' / 'last.ckpt'}"
    command = ["generate", ckpt, *QUICK, f"image='{picture}'"]
    run(*command, f"hydra.run.dir={tmp_path / 'with'}")
    assert names(tmp_path / "with" / "projection") == {"projection.png", "latents.npz"}

    def missing(*_: object) -> None:
        raise UserError("no weights here")

    monkeypatch.setattr(projection, "load_inception", missing)
    run(*command, f"hydra.run.dir={tmp_path / 'without'}")
    assert "pixels alone are compared" in (tmp_path / "without" / "generate.log").read_text()
    with_, without = (
        tmp_path / kind / "projection" / "latents.npz" for kind in ("with", "without")
    )
    with np.load(with_) as one, np.load(without) as other:
        assert one["w"].shape == other["w"].shape
        assert (one["w"] != other["w"]).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["what=projection"], "what=projection: give the picture to be painted: image=FILE"),
        (["what=images", "image='{picture}'"], "give that, too"),
        (["what=projection", "image=no.png"], "image=no.png: there is no such file"),
        (["what=projection", "image={folder}"], "not a readable image"),
        (["what=projection", "image={text}"], "not a readable image (not an image, or damaged"),
        (["image='{picture}'", *QUICK, "projection.space=w"], "FastWeightPainter has no styles"),
        (["image='{picture}'", *QUICK, "projection.space=q"], "space must be one of z, w, w+"),
        (["image='{picture}'", *QUICK, "projection.lr=0"], "lr must be a number above 0"),
        (
            ["image='{picture}'", *QUICK, "projection.features=x"],
            "features must be a number of 0 or more; got x (in projection)",
        ),
        (["image='{picture}'", *QUICK, "projection.num_steps=0"], "must be at least 1"),
    ],
)
def test_mistakes_give_a_sentence(
    options: list[str], words: str, finished_run: Path, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    known = {"picture": picture, "folder": tmp_path, "text": tmp_path / "text.png"}
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    given = [option.format(**known) for option in options]
    message = refused("generate", ckpt, f"hydra.run.dir={tmp_path / 'out'}", *given)
    assert words in message
    assert len(message.splitlines()) == 1
