"""What all tests share."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from fpainter.launch.allocator import keep_freed_memory
from tests.composing import remember

keep_freed_memory()

SHARED_GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden"


def pytest_collection_finish() -> None:
    """Leave what has been imported out of every later search for garbage: 7 % of the time."""
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    """Compose configs of what has been composed before, and parse their files by libyaml."""
    remember()
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]


@pytest.fixture(autouse=True)
def _private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep tests out of the user's cache; one cache per test process, so that images are reused."""
    base = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("FPAINTER_CACHE", str(base))
    monkeypatch.setenv("FPAINTER_LOGS", str(tmp_path_factory.getbasetemp() / "logs"))


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.default_generator.manual_seed(0)  # that of all devices looks for them first


@pytest.fixture
def float64() -> Iterator[None]:
    """Build modules in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def golden_files(kind: str) -> list[Path]:
    """Return the golden files of a kind: the full set where there is one, else the small one."""
    full = Path(os.environ.get("FPAINTER_GOLDEN", SHARED_GOLDEN))
    directory = full if full.is_dir() else Path(__file__).parent / "golden"
    return sorted(directory.glob(f"{kind}__*.safetensors"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how near the released code's vectors were met, when nothing else was asked for."""
    if terminalreporter.config.option.markexpr != "golden":
        return
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{value:8.1e}  {name}: {report.nodeid.split('::')[-1]}")
