"""What a file may ask for: classes of ours and of torch, by keyword, and nothing else."""

from pathlib import Path
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


RULE = """
from pathlib import Path
from torch import nn

class Rule(nn.Module):
    def __init__(self, size=1):
        super().__init__()
        self.size = size

    @classmethod
    def larger(cls):
        return cls(2)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the target of a class in a module of the user's."""
    (tmp_path / "Own_rules.py").write_text(RULE)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broken.py").write_text("import there_is_no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    return "Own_rules.Rule"


def test_modules_of_the_user_are_built_where_they_are_named(
    own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, trusted = {"_target_": own, "size": 7}, ("torch.nn.",)
    with pytest.raises(
        UserError, match=r"^file: refuses to build 'Own_rules.Rule', .* if Own_rules is a module "
        r"of your own, set the environment variable FPAINTER_TRUST=Own_rules$"
    ):  # fmt: skip
        build(config, "file", trusted)
    monkeypatch.setenv("FPAINTER_TRUST", " own.broken , Own_rules,")
    assert build([config, LINEAR], "file", trusted)[0].size == 7
    for target in (
        "Own_rules.Path",
        "Own_rules.Rule.larger",
        "Own_rules2.Rule",
        "own.Rule",
        "os.Rule",
    ):
        with pytest.raises(UserError, match="file: refuses to build"):
            build({"_target_": target}, "file", trusted)
    with pytest.raises(UserError, match=r"cannot import own.broken, which FPAINTER_TRUST names"):
        build({"_target_": "own.broken.Rule"}, "file", trusted)
    with pytest.raises(UserError, match=r"cannot build Own_rules.Rule: .*'length'"):
        build({"_target_": own, "length": 1}, "file", trusted)


def test_nothing_is_trusted_by_being_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPAINTER_TRUST", ",, ,")
    with pytest.raises(UserError, match=r"refuses to build 'pathlib\.Path'"):
        build({"_target_": "pathlib.Path"}, "file", ("torch.nn.",))
