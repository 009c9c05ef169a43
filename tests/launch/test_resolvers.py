"""Painters of equal size, and painters that are told equally much."""

from collections.abc import Iterator
from typing import Any

import hydra
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from fpainter.launch.configs import CONFIG_DIR
from fpainter.launch.messages import explain
from fpainter.launch.resolvers import register
from tests.test_configs import direct_options

SMALL = ["image_size=32", "model.generator.d_latent=16"]
HIDDEN, STEPS = 192, 24
EQUAL = [
    f"model.generator.d_hidden=${{equal_parameters:{HIDDEN}}}",
    f"model.generator.num_steps=${{equal_numbers:{STEPS}}}",
]
RULES = [  # that order different numbers
    name
    for name in direct_options("model/learning_rule")
    if name != "custom" and not name.startswith(("delta_e", "delta_i", "delta_n", "delta_r"))
]
# Numbers of a step, at 32×32 pixels in three channels, by hand from the equations.
NUMBERS = {"delta": 195, "coupled": 68, "delta_product": 390, "removal": 483, "sum": 192}


@pytest.fixture(autouse=True)
def hydra_is_ready() -> Iterator[None]:
    register()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        yield


def composed(*overrides: str) -> DictConfig:
    return hydra.compose("train", [*SMALL, *overrides])


def size(config: DictConfig) -> int:
    with torch.device("meta"):
        generator: Any = instantiate(config.model.generator)
    return sum(parameter.numel() for parameter in generator.parameters())


@pytest.fixture(scope="module")
def wanted() -> int:
    register()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return size(composed(f"model.generator.d_hidden={HIDDEN}"))


@pytest.mark.parametrize("rule", RULES)
def test_equal_parameters(rule: str, wanted: int) -> None:
    config = composed(EQUAL[0], f"model/learning_rule={rule}")
    distances = [abs(size(config) - wanted)]
    config.model.generator.d_hidden = found = config.model.generator.d_hidden
    if rule == "veil":  # no neighbour is nearer
        for config.model.generator.d_hidden in (found - 1, found + 1):
            distances.append(abs(size(config) - wanted))
    assert min(distances) == distances[0] < 0.01 * wanted


@pytest.mark.parametrize("rule", NUMBERS)
def test_equal_numbers(rule: str) -> None:
    parts = composed(EQUAL[1], f"model/learning_rule={rule}").model.generator
    assert sum(instantiate(parts.head).sizes) == NUMBERS[rule]
    assert parts.num_steps == round(STEPS * NUMBERS["delta"] / NUMBERS[rule])


def test_both_together() -> None:
    """The delta rule's painter has its own number of steps, not that of the other rule."""
    parts = composed(*EQUAL).model.generator
    assert (parts.d_hidden, parts.num_steps) == (HIDDEN, STEPS)
    config = composed(*EQUAL, "model/learning_rule=coupled")
    deltas = composed(f"model.generator.d_hidden={HIDDEN}", f"model.generator.num_steps={STEPS}")
    assert size(config) == pytest.approx(size(deltas), rel=0.01)


def test_what_is_no_number_is_refused() -> None:
    config = composed("model.generator.num_steps=${equal_numbers:x}")
    with pytest.raises(Exception, match="num") as caught:
        _ = config.model.generator.num_steps
    assert explain(caught.value) == "${equal_numbers:x}: must be given a whole number, at least 1"
