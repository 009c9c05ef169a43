"""Factors as functions of the iteration, and who follows them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fpainter.losses.regularisers import R1
from fpainter.training.optimiser import adam
from fpainter.training.phases import PLAYERS
from fpainter.training.schedules import Cosine, Ramp, Schedule, chosen, follow
from tests.training.test_gan_module import Watch, fit, pytestmark
from tests.training.toys import gan

__all__ = ["pytestmark"]


def test_a_ramp_is_a_straight_line_within_its_part_of_the_run() -> None:
    ramp = Ramp(start=2.0, end=1.0, num_iterations=100, begin=0.2, until=0.7)
    assert [round(ramp(i), 9) for i in (0, 20, 30, 45, 70, 100, 150)] == [
        2.0, 2.0, 1.8, 1.5, 1.0, 1.0, 1.0,
    ]  # fmt: skip


def test_a_cosine_is_half_a_cosine() -> None:
    cosine = Cosine(end=0.1, num_iterations=60)
    got = [cosine(i) for i in (0, 10, 20, 30, 60, 61)]
    by_hand = [1.0, 0.1 + 0.45 * (1 + math.sqrt(3) / 2), 0.1 + 0.45 * 1.5, 0.55, 0.1, 0.1]
    assert got == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end": -0.1}, "start and end must be at least 0; got 1.0 and -0.1"),
        ({"begin": 0.5, "until": 0.5}, "begin and until must be .* got 0.5 and 0.5"),
        ({"until": 1.5}, "begin and until must be"),
        ({"num_iterations": 0}, "num_iterations must be at least 1; got 0"),
    ],
)
def test_numbers_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cosine(**{"end": 0.1, "num_iterations": 9, **options})


def test_what_cannot_be_scheduled_is_named() -> None:
    ramp = Ramp(end=0.0, num_iterations=4)
    with pytest.raises(ValueError, match=r"'lr' must be one of \['generator_lr', "):
        chosen({"lr": ramp}, None)
    with pytest.raises(ValueError, match=r"schedules\.penalty needs model\.regulariser"):
        chosen({"penalty": ramp}, None)
    assert chosen({"penalty": None, "generator_lr": ramp}, None) == {"generator_lr": ramp}


def test_rates_of_parts_keep_their_ratio() -> None:
    net = nn.ModuleDict({"painter": nn.Linear(2, 2), "refiner": nn.Linear(2, 2)})
    optimiser = adam(net.named_parameters(), lr=1.0, lr_of={"refiner": 0.1})
    schedules: dict[str, Schedule] = {
        "generator_lr": Ramp(end=0.0, num_iterations=4),
        "penalty": lambda i: i / 2,
    }
    for iteration in (3, 1, 3):  # whatever came before
        values = follow(schedules, iteration, {"generator": optimiser}, R1(gamma=1.0, every=2))
        rate = 1 - iteration / 4
        assert values == {"lr/generator": rate, "penalty_weight": iteration / 2}
        assert [group["lr"] for group in optimiser.param_groups] == [rate, pytest.approx(rate / 10)]


def test_the_rate_of_a_generator_that_has_grown_rises() -> None:
    players = {name: adam([("w", nn.Parameter(torch.zeros(1)))], 1.0) for name in PLAYERS}
    for iteration, rate in (7, 0.01), (8, 0.02), (106, 1.0), (900, 1.0):
        assert not follow({}, iteration, players, None, grown_at=7)
        assert [each.param_groups[0]["lr"] for each in players.values()] == [rate, 1.0]


def test_only_what_has_a_schedule_is_reported(tmp_path: Path) -> None:
    watch = Watch()
    fit(gan(), 1, tmp_path, watch)
    fit(gan(schedules={"discriminator_lr": Ramp(end=0.0, num_iterations=4)}), 3, tmp_path, watch)
    names = {"lr/generator", "lr/discriminator", "penalty_weight", "real_sign"}
    assert [names & row.keys() for row in watch.metrics] == [set(), *[{"lr/discriminator"}] * 3]
    rates = [row["lr/discriminator"] for row in watch.metrics[1:]]
    assert rates == pytest.approx([1e-3, 0.75e-3, 0.5e-3])
