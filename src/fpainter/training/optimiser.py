"""One optimiser for a player: its parts' rates, its stored states, the updates it must skip."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fpainter.errors import UserError
from fpainter.nn.sizes import check_number

OptimiserFactory = Callable[[Iterable[tuple[str, nn.Parameter]]], torch.optim.Optimizer]


def optimiser_of(player: str, module: nn.Module, make: OptimiserFactory) -> torch.optim.Optimizer:
    """Build a player's optimiser over what of it is trained.

    Raises:
        UserError: if it cannot be built.
    """
    try:
        return make((n, p) for n, p in module.named_parameters() if p.requires_grad)
    except (TypeError, ValueError) as error:
        raise UserError(f"{error} (in model.{player}_optimiser)") from error


def limits(
    clip: Mapping[str, float | None] | None, module: nn.Module, players: Sequence[str]
) -> dict[str, float]:
    """Return the largest norm of the gradient of each part that has one.

    Args:
        clip: by the name of a part in the module; None for no limit.
        module: holds the players.
        players: their names in it.

    Raises:
        ValueError: if there is no such part, or a limit is no positive number.
    """
    if not isinstance(clip, Mapping | None):
        raise ValueError(f"clip: give the parts, such as {{generator: 0.1}}; got {clip}")
    found = {name: limit for name, limit in (clip or {}).items() if limit is not None}
    parts = dict(module.named_modules())
    for name, limit in found.items():
        if name.split(".")[0] not in players or name not in parts:
            raise ValueError(f"clip: there is no part {name!r} of {' or '.join(players)}")
        check_number(f"clip: the limit of {name}", limit)
    return found


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
    if not isinstance(lr_of, Mapping | None):
        raise ValueError(f"lr_of: give the parts, such as {{refiner: 1e-4}}; got {lr_of}")
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


def slow_down(optimiser: torch.optim.Optimizer, every: int) -> None:
    """Correct rates and memories for a regulariser that adds a step every so many iterations.

    With ``c = every / (every + 1)`` rates are multiplied by c, and Adam's betas taken to the power
    of c, so that an iteration moves and remembers on average what it would without that step.

    Args:
        optimiser: changed in place.
        every: iterations between the steps of the regulariser, at least 1.

    Source: Karras et al. 2020 (StyleGAN2), appendix B, lazy regularisation.
    """
    share = every / (every + 1)
    for group in optimiser.param_groups:
        group["lr"] *= share
        if "betas" in group:
            group["betas"] = tuple(beta**share for beta in group["betas"])


def regrouped(stored: dict[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return stored states of parameters with the options and groups of an optimiser.

    States belong to the parameters' names; where a checkpoint has none, to their order.

    Args:
        stored: the ``state_dict()`` of an optimiser.
        optimiser: over named parameters, perhaps in other groups.

    Returns:
        What ``optimiser.load_state_dict`` takes; parameters that have no state there begin anew.
    """
    now = optimiser.state_dict()
    own = list(_group_of_each(now))
    there = {name: index for index, name in enumerate(_group_of_each(stored) or own)}
    found = {
        index: stored["state"][there[name]]
        for index, name in enumerate(own)
        if there.get(name) in stored["state"]
    }
    return {"state": found, "param_groups": now["param_groups"]}


def scale_rates(optimiser: torch.optim.Optimizer, factor: float) -> float:
    """Set the learning rates to the initial ones times a factor; return the first group's."""
    for group in optimiser.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
    return optimiser.param_groups[0]["lr"]


def changed_options(stored: dict[str, Any], optimiser: torch.optim.Optimizer) -> list[str]:
    """Say which options of parameters an optimiser has other values for than a stored one.

    A learning rate that was scaled when it was stored counts as it was in the beginning.
    """
    before, now = _group_of_each(stored), _group_of_each(optimiser.state_dict())
    changes = [
        f"{option} {before[name][option]} in the checkpoint, {value} from now on"
        for name, group in now.items()
        for option, value in group.items()
        if option not in ("params", "param_names", "initial_lr")
        and before.get(name, group).get(option, value) != value
    ]
    return list(dict.fromkeys(changes))


def _group_of_each(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the group of each named parameter, in their order, with its initial rate as `lr`."""
    return {
        name: {**group, "lr": group.get("initial_lr", group["lr"])}
        for group in state["param_groups"]
        for name in group.get("param_names", ())
    }


def skip_unless_finite(optimiser: torch.optim.Optimizer) -> Tensor:
    """Let an optimiser's next step change nothing if a gradient is infinite or not a number.

    Returns:
        1 if the step will be skipped, else 0, a scalar tensor on the device of the parameters.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    skipped = (~nn.utils.get_total_norm(gradients).isfinite()).float()
    if getattr(optimiser, "_step_supports_amp_scaling", False):
        # Fused optimisers look at this on the device, so that nobody has to wait for it.
        optimiser.found_inf, optimiser.grad_scale = skipped, None  # type: ignore[attr-defined]
    elif skipped:
        for parameter in parameters:
            parameter.grad = None
    return skipped
