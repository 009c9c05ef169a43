"""The datamodule: arguments, cache, and the trainer's processes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from fpainter.data.datamodule import ImageDataModule
from fpainter.data.loader import BatchShare
from fpainter.data.portraits import Portraits
from fpainter.data.streaming.datamodule import StreamDataModule
from fpainter.errors import UserError
from tests.data.conftest import trainer
from tests.data.streaming.test_streams import Memory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for index in range(6):
        Image.new("RGB", (12, 10), (index, 0, 0)).save(tmp_path / "in" / f"{index}.png")
    return tmp_path / "in"


def portraits(tmp_path: Path, **arguments: Any) -> ImageDataModule:
    return ImageDataModule(
        Portraits(7), **{"image_size": 8, "cache_dir": str(tmp_path / "cache"), **arguments}
    )


def test_serves_batches_of_a_folder(folder: Path, tmp_path: Path) -> None:
    data = ImageDataModule.from_folder(
        [4, 6], str(folder), batch_size=3, cache_dir=str(tmp_path / "cache")
    )
    data.prepare_data()
    batch = next(iter(data.train_dataloader()))
    assert batch.shape == (3, 3, 4, 6)
    assert batch.dtype == torch.uint8
    assert len(data.images) == 6


def test_images_are_there_without_a_trainer(tmp_path: Path) -> None:
    data = portraits(tmp_path, channels=1)
    assert data.images.shape == (7, 1, 8, 8)
    assert data.images is data.images


def test_printing_reads_no_image(tmp_path: Path) -> None:
    data = portraits(tmp_path)
    assert str(data) == "ImageDataModule(portraits, 7 images, 3×8×8, batch_size=20)"
    assert not (tmp_path / "cache").exists()


def test_default_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPAINTER_CACHE", str(tmp_path / "default"))
    assert portraits(tmp_path, cache_dir=None).images.folder.parent == tmp_path / "default"


def test_hydra_builds_it(tmp_path: Path) -> None:
    config = OmegaConf.create(
        {
            "_target_": "fpainter.data.datamodule.ImageDataModule.from_portraits",
            "num_images": 5,
            "portrait_seed": 1,
            "image_size": [8, 6],
            "batch_size": 2,
            "seed": 4,
            "flip": True,
            "cache_dir": str(tmp_path),
        }
    )
    data = instantiate(config)
    assert data.images.shape == (5, 3, 8, 6)
    stream = data.train_dataloader()
    assert next(iter(stream)).shape == (2, 3, 8, 6)
    assert stream.share == BatchShare(2, seed=4, flip=True)


def test_no_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.dir=PATH.*\. Get it there$"):
        ImageDataModule.from_folder(8, None, hint="Get it there")
    with pytest.raises(UserError, match=r"nowhere\. Get it there with data\.dir=PATH$"):
        ImageDataModule.from_folder(
            8, str(tmp_path / "nowhere"), hint="Get it there with data.dir=PATH"
        )
    with pytest.raises(UserError, match=r"nowhere\. Give data\.dir=PATH"):
        ImageDataModule.from_folder(8, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "image_size must be .* got 0"),
        ({"channels": 2}, "channels must be 1 .* got 2"),
        ({"batch_size": 0}, "batch_size must be an int ≥ 1, got 0"),
        ({"batch_size": 2.0}, "batch_size must be an int ≥ 1, got 2.0"),
        ({"seed": -1}, "seed must be an int ≥ 0, got -1"),
        ({"seed": True}, "seed must be an int"),
        ({"flip": "yes"}, "flip must be true or false, got 'yes'"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        portraits(tmp_path, **arguments)


def test_processes_share_the_global_batch(tmp_path: Path) -> None:
    data = portraits(tmp_path, batch_size=6, flip=True)
    whole = next(iter(data.train_dataloader()))
    parts = []
    for rank in range(3):
        data.trainer = trainer(rank, world_size=3)
        parts.append(next(iter(data.train_dataloader())))
    assert torch.equal(torch.cat(parts), whole)


def test_batch_that_cannot_be_shared(tmp_path: Path) -> None:
    data = portraits(tmp_path, batch_size=5)
    data.trainer = trainer(world_size=2)
    with pytest.raises(UserError, match=r"batch_size=5 .* choose a multiple of 2"):
        data.train_dataloader()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("device", "pinned"), [("cuda:0", True), ("cpu", False), ("mps", False)])
def test_batches_are_pinned_for_a_cuda_device_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool, device: str, pinned: bool
) -> None:
    locked: list[torch.Tensor] = []

    def pin(batch: torch.Tensor) -> torch.Tensor:
        locked.append(batch.clone())
        return locked[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    data = portraits(tmp_path, batch_size=4)
    if streamed:
        data = StreamDataModule(Memory(5, 3), 2, batch_size=4, cache_dir=str(tmp_path))
    data.trainer = trainer(device=device)
    stream = data.train_dataloader()
    batches = [next(stream) for _ in range(3)]
    assert len(locked) == 3 * pinned
    assert all(batch is one for batch, one in zip(batches, locked, strict=False))


@pytest.mark.parametrize("streamed", [False, True])
def test_no_batch_is_written_to_once_it_is_handed_out(tmp_path: Path, streamed: bool) -> None:
    """A copy to a device may still be under way while the next batches are made."""
    data = portraits(tmp_path, batch_size=4, flip=True)
    if streamed:
        data = StreamDataModule(Memory(5, 3), 2, batch_size=4, flip=True, cache_dir=str(tmp_path))
    stream = data.train_dataloader()
    batches, copies = [], []
    for _ in range(8):
        batches.append(next(stream))
        copies.append(batches[-1].clone())
    assert len({batch.data_ptr() for batch in batches}) == 8
    assert all(torch.equal(batch, copy) for batch, copy in zip(batches, copies, strict=True))
