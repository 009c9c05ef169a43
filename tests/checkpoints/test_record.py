"""What a record says of a run can be given back to Hydra."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fpainter.checkpoints.record import in_hydras_grammar


@pytest.mark.parametrize(
    "value",
    [
        "it's a \"name\"", r"back\slash", "at its end\\", r"\"", "Brüder", "null", "1e-3", "{x}",
        None, True, 3, 2e-4, ["a,b", [1]], {"a": {"b": "c:d"}},
    ],
)  # fmt: skip
def test_hydra_reads_what_was_written(value: Any) -> None:
    override = OverridesParser.create().parse_override(f"key={in_hydras_grammar(value)}")
    assert override.value() == value
