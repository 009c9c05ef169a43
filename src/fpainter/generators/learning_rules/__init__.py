"""Synaptic learning rules, one file each, from instructions and a canvas to a painting."""

from fpainter.generators.learning_rules.base import (
    KEY,
    RATE,
    VALUE,
    LearningRule,
    Order,
    outer,
    read,
)
from fpainter.generators.learning_rules.delta import DeltaRule
from fpainter.generators.learning_rules.oja import OjaRule
from fpainter.generators.learning_rules.sum import SumRule
from fpainter.ops.strokes import Factors, Strokes

__all__ = [
    "KEY", "RATE", "VALUE", "DeltaRule", "Factors", "LearningRule", "OjaRule", "Order", "Strokes",
    "SumRule", "outer", "read",
]  # fmt: skip
