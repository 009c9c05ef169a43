"""What older versions of fpainter stored, in the terms of this one."""

from typing import Any

from fpainter.errors import UserError

# Where classes were when older checkpoints were written, and where they are.
MOVED = {
    "fpainter.discriminators.augment.": "fpainter.augmentation.diff.",
    "fpainter.data.streams.": "fpainter.data.streaming.datamodule.",
    # It differed in the values it began with alone.
    "fpainter.generators.canvas.MeanCanvas": "fpainter.generators.canvas.LearnedCanvas",
}
PAINTER = "fpainter.generators.painter.FastWeightPainter"

# What heads were told, and are now told by the learning rule unless it is something else.
ORDERED = {
    "rate": "scalar", "key_activation": "softmax",
    "value_activation": "identity", "rate_activation": "sigmoid",
}  # fmt: skip

CHOICES = {"model/canvas=mean": "model/canvas=learned"}  # of the command line
GONE = ("model.generator.colours", "callbacks.mean_start")  # keys of the command line


def with_current_names(node: Any, where: str) -> Any:
    """Return plain data as this version would have written it.

    Each ``_target_`` has the name its class has today, and no painter has settings that are gone.

    Args:
        node: a config, or a part of one.
        where: the file, for messages.

    Raises:
        UserError: if a painter was trained in a way that this version does not know.
    """
    if isinstance(node, list):
        return [with_current_names(entry, where) for entry in node]
    if not isinstance(node, dict):
        return node
    renamed = {key: with_current_names(value, where) for key, value in node.items()}
    target = renamed.get("_target_")
    for old, new in MOVED.items():
        if isinstance(target, str) and target.startswith(old):
            renamed["_target_"] = new + target.removeprefix(old)
    if target == PAINTER and (colours := renamed.pop("colours", "rgb")) != "rgb":
        raise UserError(
            f"{where}: its canvas has colours={colours}; this version paints in red, green and "
            "blue alone, so use the version of fpainter that trained it"
        )
    if target == PAINTER and {"head", "learning_rule"} <= renamed.keys():
        renamed["head"] = _ordered(renamed["head"], renamed["learning_rule"])
    return renamed


def _ordered(head: dict[str, Any], learning_rule: Any) -> dict[str, Any]:
    """Return the settings of a head that does not know its rule as those of one that does."""
    if "learning_rule" in head:
        return head
    same = {key for key, value in ORDERED.items() if head.get(key) == value}
    return {**head, **dict.fromkeys(same), "learning_rule": learning_rule}


def with_current_overrides(overrides: list[str]) -> list[str]:
    """Return the overrides of an older run that this version takes, as it writes them."""
    return [
        CHOICES.get(override, override)
        for override in overrides
        if not override.lstrip("+~").startswith(GONE)
    ]
