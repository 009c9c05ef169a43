"""Tests compose configs as Hydra does, but for the time it takes."""

from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, Node, OmegaConf

from fpainter.launch.configs import composed
from fpainter.launch.resolvers import register
from tests import composing


def described(node: Node | None) -> Any:
    """Return the values of a config with their types and flags, nothing of it resolved."""
    assert node is not None
    about = type(node), node._metadata.flags, node._metadata.ref_type
    if isinstance(node, DictConfig) and isinstance(node._value(), dict):
        return about, {key: described(node._get_node(key)) for key in node}
    if isinstance(node, ListConfig) and isinstance(node._value(), list):
        return about, [described(node._get_node(index)) for index in range(len(node))]  # type: ignore[arg-type]
    return about, node._value()


def answer(overrides: list[str]) -> Any:
    try:
        return described(composed("train", overrides))
    except HydraException as error:
        return str(error)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=base", "data=celeba", "+new.key=3", "~model.augment"],
        ["+sweep=table1", "experiment=small64", "hydra.run.dir=/nowhere"],
        ["model/learning_rule=oja", "num_iterations=7", "model.generator.num_steps=${image_size}"],
        ["model=nothing"],
        ["model.nothing=3"],
    ],
)
def test_they_are_the_same(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    answers = [answer(overrides) for _ in range(2)]
    for place, name, function in composing.HYDRAS:
        monkeypatch.setattr(place, name, function)
    assert answers == 2 * [answer(overrides)]


def test_what_is_kept_is_not_what_is_given() -> None:
    for _ in range(2):
        config = composed("train", [])
        assert config.model.generator.num_steps != 3
        config.model.generator.num_steps = 3


def test_configs_elsewhere_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr("fpainter.launch.configs.CONFIG_DIR", tmp_path)
    for number in range(2):
        (tmp_path / "model" / "own.yaml").write_text(f"a: {number}\n")
        (tmp_path / "train.yaml").write_text(f"defaults: [model: own, _self_]\nb: {number}\n")
        assert OmegaConf.masked_copy(composed("train", []), ["model", "b"]) == {
            "model": {"a": number}, "b": number
        }  # fmt: skip
