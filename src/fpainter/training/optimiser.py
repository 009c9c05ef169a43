"""One optimiser for a player whose parts may learn at different rates."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from fpainter.errors import UserError


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
        UserError: if a learning rate is no number, or negative.
    """
    parts: dict[str, float] = dict(lr_of or {})
    for rate in (lr, *parts.values()):
        if not isinstance(rate, int | float) or rate < 0:
            raise UserError(
                f"a learning rate must be a number of at least 0, got {rate!r} (in lr or lr_of of "
                "model.generator_optimiser or model.discriminator_optimiser)"
            )
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
