"""The phases of an iteration: each is there, gets its own time, and they make up the whole."""

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from fpainter.benchmarks import phases as measured
from fpainter.benchmarks.iteration import Released
from fpainter.benchmarks.phases import PHASES, PRECISIONS, phases
from fpainter.losses.diversity import ModeSeeking
from fpainter.losses.regularisers import R1
from fpainter.training.gan_module import GANModule
from fpainter.training.mixed_sizes import AtSizes
from fpainter.training.path_length import PathLengthPhase
from fpainter.training.phases import DiscriminatorPhase, GeneratorPhase, PenaltyPhase
from tests.callbacks.test_budget import BURNT, burn
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.training.toys import SIZE, gan

CPU = torch.device("cpu")
ABSENT = {"D on reals for G", "path length", "backward of path length"}  # of other losses


def reals() -> Iterator[Tensor]:
    while True:
        yield torch.randint(256, (4, 3, SIZE, SIZE), dtype=torch.uint8)


def test_every_phase_is_timed_and_they_make_up_an_iteration() -> None:
    module = gan()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    results = phases(module, reals(), 1, CPU)
    for precision in PRECISIONS:
        names = set(PHASES) - ABSENT
        own = {name: results[f"{precision}.{name}.seconds"] for name in names}
        assert sum(own.values()) == pytest.approx(results[f"{precision}.iteration.seconds"])
        assert sum(results[f"{precision}.{name}.share"] for name in names) == pytest.approx(1)
    first, other = (results[f"{precision}.iteration.seconds"] for precision in PRECISIONS)
    assert results["bf16-mixed.iteration.ratio"] == pytest.approx(first / other)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_time_is_charged_to_the_phase_that_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The penalty of every second iteration counts for half; other programs for nothing."""
    module = gan()
    penalty = type(module.regulariser)
    original = penalty.__call__

    def slow(self: Any, *args: Any) -> Tensor:
        burn()
        time.sleep(BURNT)
        return original(self, *args)

    monkeypatch.setattr(penalty, "__call__", slow)
    results = phases(module, reals(), 1, CPU)
    for precision in PRECISIONS:
        assert BURNT / 2 < results[f"{precision}.penalty.seconds"] < BURNT * 0.9
        others = results[f"{precision}.iteration.seconds"] - results[f"{precision}.penalty.seconds"]
        assert others < BURNT


def test_regularisers_with_steps_of_their_own_are_charged_for_them() -> None:
    regularisers = {"path_length": PathLengthPhase(every=2), "penalty": PenaltyPhase()}
    main = {"generator": GeneratorPhase(), "discriminator": DiscriminatorPhase(penalise=False)}
    module = gan(regulariser=R1(every=3), phases=main | regularisers)
    assert measured.Clock(copy.deepcopy(module), CPU).period == 6
    results = phases(module, reals(), 1, CPU)
    names = {*PHASES, "iteration"} - {"D on reals for G"}
    assert {f"bf16-mixed.{name}.seconds" for name in names} <= results.keys()


def test_operations_are_those_of_the_layers() -> None:
    """Counted by hand: the first convolution, one block, the mixing convolution, the logit."""
    module: GANModule = gan(regulariser=None)
    clock = measured.Clock(module, CPU)
    clock.run(reals(), "32-true", counting=True)
    first = 4 * 4 * 4 * (3 * 16)
    block = 4 * 4 * 4 * (4 * 9) + 6 * 2 * 2 * (4 * 16) + 6 * 2 * 2 * 4
    last = 6 * 2 * 2 * (6 * 9) + 6 * 2 * 2
    assert clock.operations["D on fakes"] == 2 * 4 * (first + block + last)
    assert clock.operations["D on reals"] == clock.operations["D on fakes"]
    steps, d_input, d_hidden = 4, 3, 6
    lstm = 2 * 4 * steps * 4 * d_hidden * (d_input + d_hidden)
    assert clock.operations["painting for D"] >= lstm


def test_the_released_way_has_no_phases_of_other_kinds() -> None:
    for generator in (GeneratorPhase(ModeSeeking()), AtSizes(GeneratorPhase(), [0])):
        module = gan(phases={"discriminator": DiscriminatorPhase(), "generator": generator})
        with pytest.raises(ValueError, match="model/phases=joint"):
            Released(module, torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.device("cpu"))
