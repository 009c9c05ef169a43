"""One optimiser for a player whose parts may learn at different rates."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def adam(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    lr: float,
    lr_of: Mapping[str, float] | None = None,
    **options: Any,
) -> torch.optim.Adam:
    """Build Adam over named parameters.

    Args:
        named_parameters: of one player; the names go into the optimiser's state.
        lr: learning rate.
        lr_of: another learning rate for parameters whose names begin with a key and a dot, such
            as ``{"refiner": 1e-4}``.
        options: of torch.optim.Adam.

    Raises:
        ValueError: if a part has no parameters.
    """
    parts: dict[str, float] = dict(lr_of or {})
    groups: dict[str, list[tuple[str, nn.Parameter]]] = {"": [], **{part: [] for part in parts}}
    for name, parameter in named_parameters:
        part = next((part for part in parts if name.startswith(f"{part}.")), "")
        groups[part].append((name, parameter))
    for part in parts:
        if not groups[part]:
            raise ValueError(f"lr_of: there is no trained part {part!r}")
    return torch.optim.Adam(
        [
            {"params": members, "lr": parts.get(part, lr)}
            for part, members in groups.items()
            if members
        ],
        lr=lr,
        **options,
    )
