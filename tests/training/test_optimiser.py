"""Adam whose parts learn at different rates."""

import pytest
import torch
from torch import nn

from fpainter.training.optimiser import adam


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
