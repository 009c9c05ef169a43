"""Where shards come from: tar files, URLs, data sets of the hub; the data module; the commands."""

import functools
import http.server
import importlib
import io
import shutil
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.data.streaming import formats as shard_formats
from fpainter.data.streaming.datamodule import StreamDataModule
from fpainter.data.streaming.formats import DatasetShards, TarShards, absolute
from fpainter.data.streaming.shards import samples_in_order
from fpainter.errors import UserError
from tests.cli.conftest import quicken, refused, run
from tests.data.conftest import Open, encoded, trainer
from tests.data.streaming.test_streams import numbers, take


def pack(path: Path, members: dict[str, bytes], mode: Any = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """A folder of three shards with the images 0…11."""
    folder = tmp_path / "tens"
    folder.mkdir()
    for shard, (start, stop) in enumerate([(0, 5), (5, 8), (8, 12)]):
        members = {f"{number:03d}.png": encoded(number) for number in range(start, stop)}
        pack(folder / f"tens-{shard:02d}.tar", members)
    return folder


def labels_of(shards: TarShards) -> list[str]:
    return [sample.title.rpartition(":")[2] for sample in samples_in_order(shards)]


def test_a_sample_is_its_first_image(tmp_path: Path) -> None:
    members = {
        "a/1.json": b"{}", "a/1.jpg": b"A1", "a/1.seg.png": b"-", "b/1.PNG": b"B1",
        "a/.2.jpg": b"-", "a/2.cls": b"3", "a/3.webp": b"A3", "a/4.left.jpg": b"A4",
    }  # fmt: skip
    for mode, name in (("w", "x.tar"), ("w:gz", "x.tar.gz")):
        shards = TarShards(str(pack(tmp_path / name, members, mode)))
        assert [sample.data for sample in shards.read(0)] == [b"A1", b"B1", b"A3", b"A4"]
        assert [sample.data for sample in shards.read(0)] == [b"A1", b"B1", b"A3", b"A4"]


def test_an_enormous_member_is_left_out(
    tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_formats, "MAX_BYTES", 1000)
    pack(tars / "tens-00.tar", {"a.png": bytes(1001), "b.png": encoded(4)})
    data = datamodule(tars, cache_dir=str(tmp_path / "cache"))
    assert numbers([data.images.batch(range(8))]) == list(range(4, 12))
    assert data.images.skipped[0][0].endswith("a.png (1001 bytes, too large)")


def test_where_tar_files_can_be(tars: Path, tmp_path: Path) -> None:
    every = [f"{number:03d}.png" for number in range(12)]
    (tars / ".hidden.tar").write_bytes(b"")
    (tars / "notes.txt").write_bytes(b"")
    paths = [str(path) for path in sorted(tars.glob("tens*.tar"))]
    assert labels_of(TarShards(str(tars))) == every
    assert TarShards(str(tars)).name == "tens"
    assert labels_of(TarShards(paths[::-1])) == every[8:] + every[5:8] + every[:5]
    (tmp_path / "none").mkdir()
    for wanted, message in (
        (str(tmp_path / "none"), "no tar files in this folder"),
        (str(tars / "tens-09.tar"), "there is no folder or tar file .*tens-09.tar"),
        ([], "empty list"),
        ("pipe:touch x", "runs a command.*FPAINTER_PIPE=1"),
    ):
        with pytest.raises(UserError, match=message):
            TarShards(wanted)


def test_places_in_any_directory(tars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tars.parent)
    url, home = "https://host/x-{0..3}.tar", str(Path.home())
    assert absolute(["tens/a-{0..3}.tar", url], "shards") == [f"{tars}/a-{{0..3}}.tar", url]
    assert [absolute(place, "path") for place in ("tens", "a/b")] == [str(tars), "a/b"]
    assert absolute("~/images", "dir") == f"{home}/images"


def test_a_changed_shard_changes_the_fingerprint(tars: Path) -> None:
    before = TarShards(str(tars)).fingerprint()
    assert TarShards(str(tars)).fingerprint() == before
    pack(tars / "tens-01.tar", {"x.png": encoded(1)})
    assert TarShards(str(tars)).fingerprint() != before


@pytest.mark.parametrize(
    "length",
    [0, 100, 700, 1024, 1200, 2048],
    ids=["empty", "in the first header", "in an image", "between", "in a header", "no end mark"],
)
def test_a_truncated_tar_file_is_refused(tmp_path: Path, length: int) -> None:
    path = pack(tmp_path / "cut.tar", {"a.png": encoded(1), "b.png": encoded(2)})
    whole = path.read_bytes()
    assert len(labels_of(TarShards(str(path)))) == 2
    path.write_bytes(whole[:length])
    with pytest.raises(UserError, match=r"the shard .*cut\.tar cannot be read .* second time"):
        labels_of(TarShards(str(path)))
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(UserError, match=r"the shard .*cut\.tar cannot be read"):
        labels_of(TarShards(str(path)))


def test_braces(tars: Path) -> None:
    pytest.importorskip("webdataset")
    shards = TarShards(f"{tars}/tens-{{00..02}}.tar")
    assert labels_of(shards) == [f"{number:03d}.png" for number in range(12)]
    with pytest.raises(UserError, match=r"no folder or tar file .*tens-03\.tar"):
        TarShards(f"{tars}/tens-{{00..03}}.tar")


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_urls(tars: Path, opened: Open) -> None:
    pytest.importorskip("webdataset")
    if shutil.which("curl") is None:
        pytest.skip("webdataset fetches with curl")
    handler = functools.partial(Silent, directory=str(tars))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        remote = TarShards(address + "/tens-{00..02}.tar")
        assert labels_of(remote) == labels_of(TarShards(str(tars)))
        assert numbers(take(opened(remote), 20)) == numbers(take(opened(TarShards(str(tars))), 20))
        with pytest.raises(UserError, match=r"the shard http://.*/tens-7\.tar cannot be read"):
            labels_of(TarShards(f"{address}/tens-7.tar"))
        server.shutdown()


@pytest.mark.parametrize(
    ("build", "advice"),
    [
        (lambda: TarShards("http://host/x.tar"), "fpainter[webdataset]"),
        (lambda: TarShards("/x/{0..3}.tar"), "fpainter[webdataset]"),
        (lambda: DatasetShards("owner/name"), "fpainter[hf]"),
    ],
)
def test_missing_extras(
    build: Callable[[], object], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("webdataset.gopen", "webdataset.shardlists", "datasets"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as refusal:
        build()
    assert f"pip install '{advice}'" in str(refusal.value)


def datamodule(tars: Path, **options: Any) -> StreamDataModule:
    return StreamDataModule.from_shards(2, str(tars), **{"channels": 1, **options})


def test_the_reference_is_the_first_images(
    tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = datamodule(tars, num_reference=7, cache_dir=str(tmp_path / "cache"))
    assert numbers([data.images.batch(range(7))]) == list(range(7))
    assert data.reference._bytes == b""  # all that was read for the cache is forgotten
    assert len(datamodule(tars, cache_dir=str(tmp_path / "cache")).images) == 12
    assert str(data) == "StreamDataModule(tens, 3 shards, 1×2×2, batch_size=20)"
    # Afterwards it comes from the cache.
    monkeypatch.setattr(TarShards, "read", lambda *_: pytest.fail("read again"))
    again = datamodule(tars, num_reference=7, cache_dir=str(tmp_path / "cache"))
    assert again.images.fingerprint == data.images.fingerprint


def test_damaged_images_are_not_in_the_reference(tars: Path, tmp_path: Path) -> None:
    pack(tars / "tens-00.tar", {"a.png": encoded(0), "b.png": b"", "c.png": b"x" * 99})
    data = datamodule(tars, cache_dir=str(tmp_path / "cache"))
    assert numbers([data.images.batch(range(8))]) == [0, *range(5, 12)]
    assert [label.rpartition(":")[2] for label, _ in data.images.skipped] == ["b.png", "c.png"]
    pack(tars / "tens-00.tar", {"a.txt": b""})
    with pytest.raises(UserError, match="no images in the 1 shards of tens"):
        datamodule(tars / "tens-00.tar").prepare_data()


def test_processes_share_the_global_batch(tars: Path, tmp_path: Path) -> None:
    data = datamodule(tars, batch_size=4, flip=True, seed=5, buffer_size=3)
    assert next(data.train_dataloader()).shape == (4, 1, 2, 2)
    data.trainer = trainer(rank=1, world_size=2)
    share = data.train_dataloader().share
    assert (share.batch_size, share.rank, share.world_size) == (2, 1, 2)
    assert (share.flip, share.seed) == (True, 5)
    data.trainer = trainer(rank=1, world_size=3)
    with pytest.raises(UserError, match="choose a multiple of 3"):
        data.train_dataloader()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_reference": 0}, "num_reference must be an int ≥ 1, got 0"),
        ({"buffer_size": 2.5}, "buffer_size must be an int ≥ 1, got 2.5"),
        ({"channels": 2}, "channels must be 1"),
    ],
)
def test_bad_arguments(tars: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datamodule(tars, **options)


def test_nothing_to_train_on() -> None:
    with pytest.raises(UserError, match=r"Give data\.shards="):
        StreamDataModule.from_shards(8)
    with pytest.raises(UserError, match=r"Give data\.path="):
        StreamDataModule.from_dataset(8)


@pytest.fixture
def hub_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `datasets` off the network and out of the user's cache."""
    config = pytest.importorskip("datasets").config
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A folder of two Parquet files with the images 0…11, as the hub keeps them."""
    arrow = pytest.importorskip("pyarrow")
    writer = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "painted"
    folder.mkdir()
    for shard, span in enumerate([range(7), range(7, 12)]):
        images = [{"bytes": encoded(n), "path": f"{n}.png"} for n in span]
        table = arrow.table({"picture": images, "label": list(span)})
        writer.write_table(table, folder / f"train-{shard:05d}-of-00002.parquet")
    return folder


@pytest.mark.usefixtures("hub_offline")
def test_a_data_set_of_parquet_files(parquet: Path, opened: Open) -> None:
    shards = DatasetShards(str(parquet), column="picture")
    assert shards.name == "painted-train"
    assert [len([*shards.read(shard)]) for shard in range(2)] == [7, 5]
    served = numbers(take(opened(shards, batch_size=12), 3))
    assert all(sorted(served[start : start + 12]) == list(range(12)) for start in (0, 12, 24))
    assert DatasetShards(str(parquet), column="picture").fingerprint() == shards.fingerprint()
    for options, message in (
        ({}, "data.column=image: .* has the columns picture, label"),
        ({"column": "label"}, "data.column=label: .* has int64 there, not images"),
        ({"split": "test"}, r"data\.split=test: cannot be streamed \(Bad split"),
        ({"name": "other"}, r"data\.name=other, .*: cannot be streamed"),
    ):
        with pytest.raises(UserError, match=message):
            DatasetShards(str(parquet), **options)
    with pytest.raises(UserError, match=r"data\.path=nobody/nothing, .*: cannot be streamed"):
        DatasetShards("nobody/nothing")


@pytest.mark.usefixtures("hub_offline")
def test_a_data_set_of_image_files(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(encoded(number))
    data = StreamDataModule.from_dataset(2, str(folder), channels=1, cache_dir=str(tmp_path / "c"))
    assert sorted(numbers([data.images.batch(range(6))])) == list(range(6))


SMALL = [
    "debug=fast", "model/discriminator=convolutional", "model.discriminator.widths=[4,6]",
    "model.generator.num_steps=4", "model.generator.d_latent=8", "model.generator.d_hidden=16",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_a_run_stops_goes_on_and_is_scored(
    tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    command = ["train", *SMALL, "data=webdataset", "data.num_reference=4", f"data.shards={tars}"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(*command, "num_iterations=5", f"hydra.run.dir={whole}")
    run(*command, "num_iterations=2", f"hydra.run.dir={parts}")
    run("train", "ckpt=last", f"hydra.run.dir={parts}", "num_iterations=5")
    states = [
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for folder in (whole, parts)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    run("eval", f"ckpt={parts}/checkpoints/last.ckpt", "num_images=2", f"hydra.run.dir={tmp_path}")
    assert '"num_real": 4' in (tmp_path / "scores.json").read_text()
    assert "data.shards: there is no" in refused(*command[:-1], f"data.shards={tars}/x.tar")


def test_what_a_run_records_holds_in_any_directory(
    tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tars)
    command = ["train", *SMALL, "data=webdataset", "num_iterations=1"]
    wanted = "data.shards=[tens-01.tar,tens-02.tar]"
    run(*command, wanted, f"hydra.run.dir={tmp_path / 'run'}")
    monkeypatch.chdir(tmp_path)
    run("train", "ckpt=last", f"hydra.run.dir={tmp_path / 'run'}", "num_iterations=2")
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["iteration"] == 2
    stored = checkpoint["fpainter"]["config"]["data"]["shards"]
    assert stored == [str(tars / "tens-01.tar"), str(tars / "tens-02.tar")]
