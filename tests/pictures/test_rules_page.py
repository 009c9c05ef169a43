"""The page of learning rules is that of the rules there are."""

import importlib.util
from types import ModuleType

import pytest
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR
from tests.generators.rules import CLASSES

DOCS = CONFIG_DIR.parent / "docs"
KEPT = DOCS / "learning_rules"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_rules", DOCS / "make_rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_from_the_rules(script: ModuleType) -> None:
    """Where this fails: python docs/make_rules.py, with `measure` if there is a new rule."""
    text = (DOCS / "learning_rules.md").read_text(encoding="utf-8")
    assert text == script.page(KEPT)
    for name, rule in CLASSES.items():
        assert f"`{name}`" in text, name
        assert f"$${rule.equation}$$" in text, name
    assert "class CurtainRule" in text


def test_every_option_is_measured_and_shown(script: ModuleType) -> None:
    assert {*script.options()} == {*script.figures(KEPT)}
    assert {*script.options()} >= {*CLASSES}
    sizes = [path.stat().st_size for path in KEPT.iterdir()]
    assert sum(sizes) < 200_000
    for path in KEPT.glob("*.jpg"):
        with Image.open(path) as picture:
            picture.verify()


def test_orders_of_the_picture_fit_every_rule(script: ModuleType) -> None:
    for name in script.options():
        head, rule = script.parts(name)
        found = {order.name: script.shown_order(name, order) for order in rule.orders}
        image = rule(found, script.portrait().float()).image()
        assert image.shape == (1, 3, 64, 64)
        assert sum(head.sizes) > 0
