"""The endless stream of batches: complete, fair, and exactly resumable."""

import logging
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from fpainter.data.cache import CachedImages
from fpainter.data.loader import BatchShare, BatchStream


def numbers(batches: list[Tensor]) -> list[int]:
    """Return which images the batches are, mirrored or not."""
    return [int(image.min()) for batch in batches for image in batch]


def take(stream: BatchStream, count: int) -> list[Tensor]:
    return list(islice(stream, count))


def test_batches_are_uint8_images(ten: CachedImages) -> None:
    (batch,) = take(BatchStream(ten, BatchShare(3, seed=0)), 1)
    assert batch.shape == (3, 1, 2, 2)
    assert batch.dtype == torch.uint8


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 23])
def test_each_pass_has_each_image_once(ten: CachedImages, batch_size: int) -> None:
    stream = numbers(take(BatchStream(ten, BatchShare(batch_size, seed=0)), 80 // batch_size + 1))
    passes = [stream[start : start + 10] for start in range(0, 80, 10)]
    assert all(sorted(order) == list(range(10)) for order in passes)
    assert len({tuple(order) for order in passes}) == 8


def test_batch_size_does_not_change_the_order(ten: CachedImages) -> None:
    one = numbers(take(BatchStream(ten, BatchShare(1, seed=5)), 60))
    assert numbers(take(BatchStream(ten, BatchShare(4, seed=5)), 15)) == one
    assert numbers(take(BatchStream(ten, BatchShare(4, seed=6)), 15)) != one


@pytest.mark.parametrize("stop", [0, 1, 3, 7])
def test_resume_equals_uninterrupted(ten: CachedImages, stop: int) -> None:
    whole = take(BatchStream(ten, BatchShare(4, seed=1, flip=True)), 12)
    first = BatchStream(ten, BatchShare(4, seed=1, flip=True))
    batches = take(first, stop)
    second = BatchStream(ten, BatchShare(4, seed=1, flip=True))
    second.load_state_dict(first.state_dict())
    batches += take(second, 12 - stop)
    assert all(torch.equal(a, b) for a, b in zip(whole, batches, strict=True))


def test_iterating_again_goes_on(ten: CachedImages) -> None:
    stream = BatchStream(ten, BatchShare(4, seed=1))
    twice = take(stream, 3) + take(stream, 3)
    assert numbers(twice) == numbers(take(BatchStream(ten, BatchShare(4, seed=1)), 6))


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_ranks_together_equal_one_process(ten: CachedImages, world_size: int) -> None:
    one = take(BatchStream(ten, BatchShare(6, seed=2, flip=True)), 9)
    share = 6 // world_size
    ranks = [
        take(
            BatchStream(
                ten, BatchShare(share, seed=2, flip=True, rank=rank, world_size=world_size)
            ),
            9,
        )
        for rank in range(world_size)
    ]
    for expected, parts in zip(one, zip(*ranks, strict=True), strict=True):
        assert torch.equal(torch.cat(parts), expected)


def test_half_of_the_images_are_mirrored(ten: CachedImages) -> None:
    images = torch.cat(take(BatchStream(ten, BatchShare(50, seed=0, flip=True)), 40))
    mirrored = images[:, 0, 0, 0] > images[:, 0, 0, 1]
    # 2000 coins: 5 standard deviations are 112.
    assert abs(int(mirrored.sum()) - 1000) < 112
    # Not always the same images, and none is damaged.
    assert all(0 < int(mirrored[images.amin((1, 2, 3)) == i].sum()) < 200 for i in range(10))
    assert (images.amax((1, 2, 3)) - images.amin((1, 2, 3)) == 100).all()
    plain = torch.cat(take(BatchStream(ten, BatchShare(50, seed=0)), 40))
    assert (plain[:, 0, 0, 0] < plain[:, 0, 0, 1]).all()


def test_resuming_with_another_batch_size(
    ten: CachedImages, caplog: pytest.LogCaptureFixture
) -> None:
    stream = BatchStream(ten, BatchShare(6, seed=0))
    take(stream, 5)
    other = BatchStream(ten, BatchShare(4, seed=0))
    with caplog.at_level(logging.WARNING):
        other.load_state_dict(stream.state_dict())
    assert "batches of 6 images and training goes on with 4" in caplog.text
    # 30 images were served: 7 whole batches of 4.
    assert other.state_dict()["next_batch"] == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be positive, got 0"),
        ({"batch_size": -3}, "batch_size must be positive, got -3"),
        ({"rank": 2, "world_size": 2}, "got rank 2 of world_size 2"),
        ({"rank": -1}, "got rank -1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchShare(**{"batch_size": 2, "seed": 0, **arguments})


class Nothing:
    def __len__(self) -> int:
        return 0


def test_no_images() -> None:
    with pytest.raises(ValueError, match="at least one image, got 0"):
        BatchStream(Nothing(), BatchShare(2, seed=0))  # type: ignore[arg-type]


class Recorder(LightningModule):
    """Writes down every batch it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Tensor] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.append(batch.clone())
        return self.weight * 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(
    images: CachedImages, folder: Path, steps: int, resume: Path | None = None, epoch: float = 1.0
) -> list[Tensor]:
    module = Recorder()
    trainer = Trainer(
        default_root_dir=folder,
        max_steps=steps,
        limit_train_batches=cast(Any, epoch),
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1),
    )
    stream = BatchStream(images, BatchShare(4, seed=0, flip=True))
    trainer.fit(module, stream, ckpt_path=resume)
    return module.seen


# Lightning's own: about the number of workers, the logger, and torch's internals it uses.
@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
@pytest.mark.parametrize("epoch", [1.0, 4])
def test_lightning_resumes_exactly(ten: CachedImages, tmp_path: Path, epoch: float) -> None:
    """From the middle of an epoch and, with epochs of 4 batches, into the next one."""
    expected = take(BatchStream(ten, BatchShare(4, seed=0, flip=True)), 10)
    whole = fit(ten, tmp_path, 10, epoch=epoch)
    assert all(torch.equal(a, b) for a, b in zip(whole, expected, strict=True))
    (checkpoint,) = tmp_path.glob("step=3.ckpt")
    rest = fit(ten, tmp_path, 10, checkpoint, epoch)
    assert all(torch.equal(a, b) for a, b in zip(rest, expected[3:], strict=True))
