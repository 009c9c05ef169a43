"""Adam whose parts learn at different rates."""

from typing import Any

import pytest
import torch
from torch import nn

from fpainter.training.optimiser import adam, changed_options, regrouped, scale_rates


def net() -> nn.ModuleDict:
    return nn.ModuleDict({"painter": nn.Linear(2, 2), "refiner": nn.Linear(2, 2)})


def test_parts_learn_at_their_own_rates() -> None:
    module = net()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimiser = adam(module.named_parameters(), lr=1e-2, lr_of={"refiner": 1e-4}, betas=(0.5, 0.9))
    sum(p.sum() for p in module.parameters()).backward()  # type: ignore[union-attr]
    optimiser.step()
    for name, parameter in module.named_parameters():
        moved = (parameter - before[name]).abs()
        rate = 1e-4 if name.startswith("refiner") else 1e-2  # Adam's first step is the rate
        torch.testing.assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=1e-7)


def test_names_are_kept_with_the_state() -> None:
    groups = adam(net().named_parameters(), lr=1.0, lr_of={"refiner": 2.0}).state_dict()
    names = [group["param_names"] for group in groups["param_groups"]]
    assert names == [["painter.weight", "painter.bias"], ["refiner.weight", "refiner.bias"]]


def test_a_part_without_parameters_is_named() -> None:
    with pytest.raises(ValueError, match="there is no trained part 'brush'"):
        adam(net().named_parameters(), lr=1.0, lr_of={"brush": 2.0})


def stepped(**options: Any) -> torch.optim.Adam:
    """Return an optimiser after one step, over weights whose gradient is 1 and biases' 2."""
    module = net()
    optimiser = adam(module.named_parameters(), lr=1.0, **options)
    for name, parameter in module.named_parameters():
        parameter.grad = torch.full_like(parameter, 2.0 if name.endswith("bias") else 1.0)
    optimiser.step()
    return optimiser


def moments(optimiser: torch.optim.Adam) -> dict[str, float]:
    return {
        name: float(optimiser.state[parameter]["exp_avg"].mean())
        for group in optimiser.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
        if parameter in optimiser.state
    }


def test_states_follow_names_into_other_groups_with_other_options() -> None:
    stored = stepped().state_dict()
    parts = {"refiner": 3.0, "painter": 2.0}  # the other way round
    begun = adam(net().named_parameters(), lr=5.0, lr_of=parts, betas=(0.5, 0.9))
    begun.load_state_dict(regrouped(stored, begun))
    assert moments(begun) == pytest.approx(moments(stepped()))
    assert [(group["lr"], group["betas"]) for group in begun.param_groups] == [
        (3.0, (0.5, 0.9)), (2.0, (0.5, 0.9)),
    ]  # fmt: skip
    assert changed_options(stored, begun) == [
        "lr 1.0 in the checkpoint, 3.0 from now on",
        "betas (0.9, 0.999) in the checkpoint, (0.5, 0.9) from now on",
        "lr 1.0 in the checkpoint, 2.0 from now on",
    ]
    assert not changed_options(stored, stepped())


def test_a_scaled_rate_is_neither_a_change_nor_kept() -> None:
    """A run that goes on begins with its own rates, which its own schedule scales."""
    optimiser = stepped(lr_of={"refiner": 3.0})
    assert [scale_rates(optimiser, factor) for factor in (0.5, 0.25)] == [0.5, 0.25]
    assert [group["lr"] for group in optimiser.param_groups] == [0.25, 0.75]
    stored = optimiser.state_dict()
    same = stepped(lr_of={"refiner": 3.0})
    assert changed_options(stored, same) == []
    same.load_state_dict(regrouped(stored, same))
    assert [group["lr"] for group in same.param_groups] == [1.0, 3.0]
    other = adam(net().named_parameters(), lr=5.0, lr_of={"refiner": 3.0})
    assert changed_options(stored, other) == ["lr 1.0 in the checkpoint, 5.0 from now on"]


def test_states_without_names_follow_the_order() -> None:
    stored = stepped().state_dict()
    for group in stored["param_groups"]:
        del group["param_names"]
    begun = adam(net().named_parameters(), lr=5.0)
    begun.load_state_dict(regrouped(stored, begun))
    assert moments(begun) == pytest.approx(moments(stepped()))
    assert begun.param_groups[0]["lr"] == 5.0
    assert changed_options(stored, begun) == []


def test_parameters_without_a_state_begin_anew() -> None:
    painter = adam(net()["painter"].named_parameters(prefix="painter"), lr=1.0)
    whole = adam(net().named_parameters(), lr=1.0, lr_of={"refiner": 2.0})
    assert regrouped(stepped().state_dict(), painter)["state"].keys() == {0, 1}
    state = regrouped({**painter.state_dict(), "state": {0: {}, 1: {}}}, whole)
    assert state["state"].keys() == {0, 1}
