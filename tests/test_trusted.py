"""What a file may ask for: classes of ours and of torch, by keyword, and nothing else."""

from typing import Any

import pytest
from torch import nn

from fpainter.errors import UserError
from fpainter.trusted import build

LINEAR = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}
PORTRAITS = {
    "_target_": "fpainter.data.datamodule.ImageDataModule.from_portraits",
    "image_size": 16,
    "num_images": 4,
}


def test_objects_are_built_innermost_first() -> None:
    built = build({"layers": [LINEAR, 7], "size": {"a": None}}, "file", ("torch.nn.",))
    assert isinstance(built["layers"][0], nn.Linear)
    assert (built["layers"][1], built["size"]) == (7, {"a": None})


def test_constructors_only_where_they_are_allowed() -> None:
    trusted = ("fpainter.data.",)
    assert build(PORTRAITS, "file", trusted, constructors=True).channels == 3
    for config, constructors in (
        (PORTRAITS, False),
        ({**PORTRAITS, "_target_": "fpainter.data.datamodule.ImageDataModule.setup"}, True),
        ({**PORTRAITS, "_target_": "fpainter.data.datamodule.Path.cwd"}, True),
    ):
        with pytest.raises(UserError, match="file: refuses to build 'fpainter"):
            build(config, "file", trusted, constructors)


@pytest.mark.parametrize("word", ["_partial_", "_args_", "_recursive_", "_convert_", "_mode_"])
def test_hydras_words_have_no_meaning(word: str) -> None:
    config: dict[str, Any] = {**LINEAR, word: [1]}
    with pytest.raises(UserError, match=rf"cannot build torch\.nn\.Linear: .*'{word}'"):
        build(config, "file", ("torch.nn.",))


def test_lists_without_an_end_are_refused() -> None:
    config: Any = []
    for _ in range(5000):
        config = [config]
    with pytest.raises(UserError, match=r"cannot build torch\.nn\.Linear: .*recursion"):
        build({**LINEAR, "bias": config}, "file", ("torch.nn.",))
