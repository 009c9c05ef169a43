from pathlib import Path

import pytest

from fpainter.files import replacing


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as new:
        new.write_text("new")
        assert path.read_text() == "old"
        assert (new.parent, new.suffix) == (tmp_path, ".tmp")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_an_error_all_is_as_it_was(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as new:
            new.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "folder") as new:
        (new / "inside").mkdir(parents=True)
        (new / "inside" / "a.txt").write_text("a")
    assert (tmp_path / "folder" / "inside" / "a.txt").read_text() == "a"

    def again() -> None:
        with replacing(tmp_path / "folder") as new:
            (new / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match="not empty"):
        again()
    assert (tmp_path / "folder" / "inside" / "a.txt").read_text() == "a"
    assert len(list(tmp_path.iterdir())) == 1
