"""All learning rules of the package, in all their variants."""

import importlib
import inspect
import pkgutil

from fpainter.generators import learning_rules
from fpainter.generators.learning_rules import DeltaRule, LearningRule, OjaRule
from fpainter.generators.learning_rules.delta_product import DeltaProductRule

CLASSES: dict[str, type[LearningRule]] = {
    info.name: found
    for info in pkgutil.iter_modules(learning_rules.__path__)
    for module in [importlib.import_module(f"{learning_rules.__name__}.{info.name}")]
    for _, found in inspect.getmembers(module, inspect.isclass)
    if issubclass(found, LearningRule) and found.__module__ == module.__name__
    if found is not LearningRule
}

RULES: dict[str, LearningRule] = {name: rule() for name, rule in CLASSES.items()} | {
    "delta_first_rate_one": DeltaRule(first_rate="one"),
    "delta_exact": DeltaRule(step_size="exact"),
    "delta_implicit": DeltaRule(step_size="implicit"),
    "delta_normalised": DeltaRule(step_size="normalised"),
    "delta_product_3": DeltaProductRule(num_strokes=3),
    "oja_softmax": OjaRule("softmax"),
}
