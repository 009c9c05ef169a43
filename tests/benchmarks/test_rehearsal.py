"""Three iterations that stand for all others."""

from collections.abc import Iterator
from itertools import cycle

import pytest
import torch
from torch import Tensor

from fpainter.benchmarks.rehearsal import rehearse
from fpainter.losses.regularisers import R1
from tests.training.test_gan_module import batches
from tests.training.toys import gan

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode")


def test_the_rare_kind_counts_as_often_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    module = gan(regulariser=R1(every=8))
    step = module.training_step

    def counted(batch: Tensor, batch_idx: int) -> None:
        seen.append(module.iteration)
        step(batch, batch_idx)

    monkeypatch.setattr(module, "training_step", counted)
    found = rehearse(module, endless(), torch.device("cpu"), "32-true")
    assert seen == [1, 0, 1]  # plain to warm up, with the penalty, plain
    assert [share for share, _ in found.kinds] == [7 / 8, 1 / 8]
    mean = sum(share * seconds for share, seconds in found.kinds)
    assert found.seconds == pytest.approx(mean)
    weights = sum(value.nbytes for value in module.state_dict().values())
    learnt = [*module.generator.parameters(), *module.discriminator.parameters()]
    moments = sum(2 * p.nbytes + 4 for p in learnt)  # of Adam, and its number of steps
    assert found.stored == weights + moments


def test_without_rare_kinds_three_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    module = gan(regulariser=None)
    found = rehearse(module, endless(), torch.device("cpu"), "32-true")
    assert [share for share, _ in found.kinds] == [1.0]
    assert module.iteration == 1


def endless() -> Iterator[Tensor]:
    return cycle(batches(2))
