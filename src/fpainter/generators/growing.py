"""Growing: the weights of a network of one size for the same network of another size.

Modules that have sizes say how in a method ``grown_from(old, state)``, given the smaller module and
its tensors by their names in it. It returns, for names of its own, a tensor that has grown, the
name there of a tensor to take as it is, or None for one that begins anew. What no module speaks of
is taken by its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from fpainter.errors import UserError
from fpainter.generators.base import Generator
from fpainter.generators.trained import part
from fpainter.nn.sizes import as_size, size_text

Rules = dict[str, str | Tensor | None]


@dataclass(frozen=True)
class Growth:
    """What becomes of the tensors of a network.

    Attributes:
        state: tensors by their names in the new network; what begins anew is not in it.
        sources: of those that stay as they are, the name there by the name here.
        grown: names of those that have another size now.
        misfits: names of tensors that are there in another size, and nobody knows how to grow.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    grown: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)


def grown_state(new: nn.Module, old: nn.Module | None, state: Mapping[str, Tensor]) -> Growth:
    """Return what a network takes over from one of another size.

    Args:
        new: of the size wanted; not changed.
        old: the network as it was, perhaps without memory; None takes all by name.
        state: its names and tensors.
    """
    rules, growth = _rules(new, old, state), Growth()
    for name, tensor in new.state_dict().items():
        rule = rules.get(name, name)
        found = state.get(rule) if isinstance(rule, str) else rule
        if found is None:
            continue
        if found.shape != tensor.shape:
            growth.misfits.append(name)
            continue
        growth.state[name] = found.to(tensor.dtype)
        if isinstance(rule, str):
            growth.sources[name] = rule
        else:
            growth.grown.append(name)
    return growth


def _rules(new: nn.Module, old: nn.Module | None, state: Mapping[str, Tensor]) -> Rules:
    """Collect what the modules say, under full names."""
    olds = {} if old is None else dict(old.named_modules())
    rules: Rules = {}
    for path, module in new.named_modules():
        before, grow = olds.get(path), getattr(module, "grown_from", None)
        if grow is None or not isinstance(before, type(module)):
            continue
        prefix = f"{path}." if path else ""
        for name, rule in grow(before, part(state, prefix)).items():
            rules[prefix + name] = prefix + rule if isinstance(rule, str) else rule
    return rules


def grown_scales(old: Generator, image_size: int | Sequence[int]) -> dict[str, float]:
    """Return the scales with which a grown painter paints the same pictures.

    Args:
        old: the painter before it grows, perhaps without memory.
        image_size: side, or (H, W), that it grows to.

    Returns:
        ``key_scale`` and ``value_scale`` of the head; nothing if the size stays.

    Raises:
        UserError: if it cannot be grown to that size.
    """
    before, after = as_size(getattr(old, "image_size", image_size)), as_size(image_size)
    if before == after:
        return {}
    change = f"from {size_text(before)} to {size_text(after)}"
    parts: tuple[Any, Any] = (getattr(old, "head", None), getattr(old, "learning_rule", None))
    head, rule = parts
    if not hasattr(head, "grown_scales") or not hasattr(rule, "key_factor"):
        who = type(old).__name__ + (f" with {type(rule).__name__}" if rule else "")
        raise UserError(f"{who} cannot be grown {change}; give this run the same image_size")
    height, width = (new / side for new, side in zip(after, before, strict=True))
    if height < 1 or width < 1:
        raise UserError(f"a painter can be grown but not made smaller, here {change}")
    scales: dict[str, float] = head.grown_scales(rule.key_factor(height, width), height, width)
    return scales
