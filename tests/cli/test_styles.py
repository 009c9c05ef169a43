"""Pictures of styles, as a user asks for them."""

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import refused, run
from tests.cli.test_generate import names


def test_every_kind(styled_run: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={styled_run / 'checkpoints' / 'last.ckpt'}"
    run(
        "generate", ckpt, "what=[mixing,noise,attention]", "mixing.coarse=[5,2]", "seeds=0-2",
        "mixing.num_images=3", "noise.num_samples=5", "noise.num_shown=2",
        f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    assert names(tmp_path) == {"mixing.png", "noise.png", "attention.png", "attention"}
    assert names(tmp_path / "attention") == {"000000.png", "000001.png", "000002.png"}
    with Image.open(tmp_path / "mixing.png") as picture:
        assert picture.size == (3 * 18 + 2, 3 * 18 + 2)
    with Image.open(tmp_path / "noise.png") as picture:
        assert picture.width == 4 * 17 + 1


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("what=mixing mixing.cutoff=99", "cutoff must be in 0.."),
        ("what=mixing mixing.cutoff=x", "cutoff must be in 0.."),
        ("what=mixing mixing.fine=x", "must be a number from 0"),
        ("noise.num_samples=0", "noise.num_samples=0: must be at least 1"),
        ("label=3", "was trained without labels"),
        ("what=strips", "does not paint in steps"),
    ],
)
def test_mistakes_give_a_sentence(
    option: str, words: str, styled_run: Path, tmp_path: Path
) -> None:
    ckpt = f"ckpt={styled_run / 'checkpoints' / 'last.ckpt'}"
    message = refused("generate", ckpt, *option.split(), f"hydra.run.dir={tmp_path}")
    assert words in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("kind", ["mixing", "noise", "attention"])
def test_painters_have_no_styles(kind: str, finished_run: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    message = refused("generate", ckpt, f"what=[images,{kind}]", f"hydra.run.dir={tmp_path}")
    assert "FastWeightPainter has no styles; those of model=stylegan2" in message
    assert f"(in what={kind})" in message
    assert not names(tmp_path)
