"""The table of how near rules come to pictures: told equally much, measured once."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = CONFIG_DIR.parent / "docs" / "make_fit_table.py"
    spec = importlib.util.spec_from_file_location("make_fit_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FILE", tmp_path / "table" / "fit.csv")
    monkeypatch.setattr(module, "PICTURES", 1)
    monkeypatch.setattr(module, "SIDE", 16)
    few = ["iterations=2", "lr=0.1", "early=0", "key_activation=null", "image_size=16"]
    monkeypatch.setattr(module, "SETTINGS", few)
    monkeypatch.setattr(module, "STEPS", (4, 8))
    chosen = ("delta", "coupled", "delta_unit, scales")
    monkeypatch.setattr(module, "RULES", {name: module.RULES[name] for name in chosen})
    return module


def test_rules_are_told_equally_much_and_measured_once(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cats").mkdir()
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "cats" / "a.png")
    script.measure(tmp_path / "cats")
    rows = {(row["told_as"], row["rule"]): row for row in script.read()}
    # Numbers of a step, by hand: 3 (16 + 16 + 1), 16 + 16 + 1 + 3, and all of four scales.
    four = 3 * (2 * (8 + 16 + 16 + 16) + 4)
    told = {
        ("4", "delta"): (4, 4 * 99), ("4", "coupled"): (11, 11 * 36), ("8", "delta"): (8, 8 * 99),
        ("4", "delta_unit, scales"): (4, four), ("8", "coupled"): (22, 22 * 36),
        ("8", "delta_unit, scales"): (8, 2 * four),
    }  # fmt: skip
    for key, (steps, numbers) in told.items():
        assert (rows[key]["steps"], rows[key]["numbers"]) == (str(steps), str(numbers))
        assert 0 < float(rows[key]["cats"]) < 80
    assert float(rows["4", "best rank"]["cats"]) > 50  # every row of a gradient is the same
    capsys.readouterr()
    before = script.FILE.read_text()
    script.measure(tmp_path / "cats")
    assert script.FILE.read_text() == before
    assert capsys.readouterr().out == ""
    cell = f"{rows['4', 'coupled']['portraits']}, {rows['4', 'coupled']['cats']} (11)"
    assert f"| coupled | {cell} |" in script.table()
