"""The package as users get it: a wheel, its configs inside, started from somewhere else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from fpainter.paths import own_painter

ROOT = Path(__file__).parents[2]


def command(*arguments: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel(tmp_path: Path) -> None:
    command("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), ".", cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    carried = {path.relative_to(unpacked / "fpainter") for path in unpacked.rglob("*.yaml")}
    assert carried == {path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml")}
    assert (unpacked / "fpainter" / "py.typed").is_file()
    assert (unpacked / "fpainter" / "generators" / "model_card.md").is_file()
    ours = {path.name for path in own_painter().iterdir()}
    assert {p.name for p in (unpacked / "fpainter" / "painters" / "portraits").iterdir()} == ours
    # From a directory with no configs of its own, and with this checkout out of sight.
    code = (
        "import sys, fpainter.train, fpainter.launch.configs as configs; "
        f"assert str(configs.CONFIG_DIR).startswith({str(unpacked)!r}), configs.CONFIG_DIR; "
        "sys.argv = ['train', 'experiment=demo', '--cfg', 'job']; fpainter.train.main()"
    )
    shown = command("-c", code, cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert "num_steps: 32" in shown
    paint = "import sys, fpainter.generate as command; sys.argv = ['generate']; command.main()"
    command("-c", paint, cwd=tmp_path, PYTHONPATH=str(unpacked), FPAINTER_LOGS=str(tmp_path))
    assert len([*tmp_path.glob("generate/*/images/*.png")]) == 64


def test_help_names_the_groups(tmp_path: Path) -> None:
    shown = command("-m", "fpainter.train", "--help", cwd=tmp_path)
    assert "lstm_delta_split_v2" in shown
