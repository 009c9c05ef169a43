"""Rendering in parallel."""

import pytest

from fpainter.data import render_all as module
from fpainter.data.portraits import Portraits
from fpainter.data.render_all import render_all


def test_out_of_memory_is_no_bad_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "render", exhausted)
    with pytest.raises(MemoryError):
        list(render_all(Portraits(3), (4, 4), 3))
