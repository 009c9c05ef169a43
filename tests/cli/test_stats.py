"""Statistics of the reals ahead of time, and in the format of other tools."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tests.cli.conftest import refused, run
from tests.cli.forks import run_together
from tests.evaluation.toys import TinyExtractor

REALS = ["data=portraits", "data.num_images=6", "image_size=16"]


def files(cache: Path) -> list[Path]:
    """Return those with statistics; single features, which are kept, too, have their own."""
    found = []
    for path in sorted(cache.glob("statistics/*.safetensors")):
        with safe_open(path, framework="np") as file:
            found += [path] if "mean" in file.keys() else []  # noqa: SIM118
    return found


def test_exported_and_imported_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz = tmp_path / "new" / "portraits.npz"
    made, taken = tmp_path / "made", tmp_path / "taken"
    run("stats", *REALS, f"fid.cache_dir={made}", f"export={npz}")
    with np.load(npz) as file:
        assert file["mu"].shape == (TinyExtractor().num_features,)
        np.testing.assert_allclose(file["sigma"], file["sigma"].T)
    before = files(made)[0].stat().st_mtime_ns
    run("stats", *REALS, f"fid.cache_dir={made}")  # found, not made again
    assert files(made)[0].stat().st_mtime_ns == before
    run("stats", *REALS, f"fid.cache_dir={taken}", f"import={npz}")
    assert [path.name for path in files(taken)] == [path.name for path in files(made)]
    assert files(taken)[0].read_bytes() == files(made)[0].read_bytes()
    run("stats", *REALS, f"fid.cache_dir={made}", "fid=paper")
    assert len(files(made)) == 2


def test_what_is_no_file_of_statistics_is_refused(tmp_path: Path) -> None:
    cache = f"fid.cache_dir={tmp_path}"
    path = tmp_path / "x.npz"
    for content in (b"", b"PK nothing"):
        path.write_bytes(content)
        assert "not a file of pytorch-fid" in refused("stats", *REALS, cache, f"import={path}")
    np.savez(path, mu=np.zeros(3), sigma=np.zeros((3, 3)))
    assert "3 features do not fit" in refused("stats", *REALS, cache, f"import={path}")
    np.savez(path, mu=np.zeros(3), sigma=np.zeros((2, 3)))
    assert "holds no mean" in refused("stats", *REALS, cache, f"import={path}")
    assert "there is no folder" in refused("stats", "data=folder", f"data.dir={tmp_path / 'no'}")
    assert not files(tmp_path)


def test_two_processes_make_them_once(tmp_path: Path) -> None:
    """The one that comes second waits and then reads; both name the same file."""
    command = ["stats", *REALS, f"fid.cache_dir={tmp_path}"]
    both = [[*command, f"hydra.run.dir={tmp_path / name}"] for name in ("a", "b")]
    run_together(both, related=False)
    assert len(files(tmp_path)) == 1
    assert not list(tmp_path.glob("statistics/*.tmp"))
