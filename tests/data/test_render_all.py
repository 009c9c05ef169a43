"""Rendering in parallel, and the line that says how far it is."""

import io

import pytest
from rich.console import Console

from fpainter.data import render_all as module
from fpainter.data.portraits import Portraits
from fpainter.data.render_all import render_all


@pytest.mark.parametrize(
    ("terminal", "after", "wanted", "shown"),
    [
        (True, -1.0, True, True),
        (True, 60.0, True, False),
        (False, -1.0, True, False),
        (True, -1.0, False, False),
    ],
)
def test_progress_only_when_slow_and_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, after: float, wanted: bool, shown: bool
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(
        module, "Console", lambda stderr: Console(file=written, force_terminal=terminal)
    )
    monkeypatch.setattr(module, "_PROGRESS_AFTER_SECONDS", after)
    results = list(render_all(Portraits(3), (4, 4), 3, wanted))
    assert len(results) == 3
    assert ("Caching portraits" in written.getvalue()) == shown


def test_out_of_memory_is_no_bad_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "render", exhausted)
    with pytest.raises(MemoryError):
        list(render_all(Portraits(3), (4, 4), 3, False))
