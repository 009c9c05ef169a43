"""Labels of tar files and of data sets of the hub."""

from pathlib import Path

import pytest

from fpainter.data.streaming.datamodule import StreamDataModule
from fpainter.data.streaming.formats import DatasetShards, TarShards
from fpainter.errors import UserError
from tests.data.conftest import encoded
from tests.data.streaming.test_shards import hub_offline as hub_offline
from tests.data.streaming.test_shards import pack

MEMBERS = {  # a label stands before its image or behind it
    "0.cls": b"1", "0.png": encoded(0), "1.png": encoded(1), "1.cls": b"0\n",
    "2.png": encoded(2), "2.txt": b"-", "2.cls": b"2",
}  # fmt: skip
NAMES = ["cat", "dog", "emu"]


def test_tar_files(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", MEMBERS)
    module = StreamDataModule.from_shards(
        2, str(tmp_path), channels=1, batch_size=6, labels=True, class_names=NAMES,
        cache_dir=str(tmp_path / "c"),
    )  # fmt: skip
    assert module.class_names == tuple(NAMES)
    assert module.images.labels is not None
    assert module.images.labels.tolist() == [1, 0, 2]
    stream = module.train_dataloader()
    for _ in range(3):
        images, labels = next(stream)
        assert [[1, 0, 2][grey] for grey in images[:, 0, 0, 0]] == labels.tolist()
    plain = TarShards(str(tmp_path))
    assert [sample.label for sample in plain.read(0)] == [None] * 3
    assert plain.fingerprint() != TarShards(str(tmp_path), NAMES).fingerprint()


def test_mistakes_in_tar_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must be given: data\.class_names=\[cat,dog\]"):
        StreamDataModule.from_shards(2, str(tmp_path), labels=True)
    pack(tmp_path / "a.tar", {"0.png": b"", "1.png": b"", "1.cls": b"0"})
    with pytest.raises(UserError, match=r"a\.tar:0\.png has no label, a member 0\.cls"):
        list(TarShards(str(tmp_path), NAMES).read(0))
    pack(tmp_path / "a.tar", {"0.png": b"", "0.cls": b"3"})
    with pytest.raises(UserError, match=r"a\.tar:0\.cls: holds 3, no label in 0\.\.2; "):
        list(TarShards(str(tmp_path), NAMES).read(0))


@pytest.mark.usefixtures("hub_offline")
def test_data_sets(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    for number, name in enumerate(["dog", "cat", "cat"]):
        (tmp_path / "in" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name / f"{number}.png").write_bytes(encoded(number))
    module = StreamDataModule.from_dataset(
        2, str(tmp_path / "in"), channels=1, batch_size=4, labels=True, cache_dir=str(tmp_path)
    )
    assert module.class_names == ("cat", "dog")
    images, labels = next(module.train_dataloader())
    assert [int(grey == 0) for grey in images[:, 0, 0, 0]] == labels.tolist()
    with pytest.raises(UserError, match=r"label_column=x: .* has no column of classes"):
        DatasetShards(str(tmp_path / "in"), label_column="x")
    with pytest.raises(UserError, match="is of the class dog, which is not among cat, emu"):
        list(
            DatasetShards(
                str(tmp_path / "in"), label_column="label", class_names=["cat", "emu"]
            ).read(0)
        )
