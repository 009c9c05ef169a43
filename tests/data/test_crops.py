"""Images of another shape than wanted: cut at the centre, cut anywhere, or with borders."""

import logging
import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.data.cache import CachedImages, cache_images
from fpainter.data.datamodule import ImageDataModule
from fpainter.data.decode import crop_at, render
from fpainter.data.finding import image_source
from fpainter.data.loader import BatchShare, BatchStream
from fpainter.data.streaming.datamodule import StreamDataModule
from fpainter.errors import UserError
from tests.data import stored
from tests.data.test_decode import noise

SHAPES = [(8, 8), (8, 20), (30, 8), (16, 16), (9, 64), (8, 8)]  # width, height
SIZE = (8, 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for index, (width, height) in enumerate(SHAPES):
        noise(width, height, seed=index).save(tmp_path / "in" / f"{index}.png")
    return tmp_path / "in"


def cached(folder: Path, crop: str) -> CachedImages:
    return cache_images(image_source(folder), SIZE, 3, folder.parent / "cache", crop)


@pytest.mark.parametrize("shape", [(50, 50), (100, 20), (20, 100), (31, 17), (1, 90)])
@pytest.mark.parametrize("target", [(16, 24), (24, 16), (9, 9)])
def test_padded_shows_all_of_the_picture(shape: tuple[int, int], target: tuple[int, int]) -> None:
    image = noise(*shape)
    result = render(image, target, 3, "pad")
    assert result.shape == (3, *target)
    assert result.flags["C_CONTIGUOUS"]
    scale = min(target[1] / shape[0], target[0] / shape[1])
    width, height = (max(1, round(side * scale)) for side in shape)
    top, left = (target[0] - height) // 2, (target[1] - width) // 2
    inner = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_array_equal(result[:, top : top + height, left : left + width], inner)
    for border, edge in (
        (result[:, :top], inner[:, 0]),
        (result[:, top + height :], inner[:, -1]),
        (result[..., :left], inner[..., 0]),
        (result[..., left + width :], inner[..., -1]),
    ):
        colour = np.rint(edge.mean(axis=1))[:, None, None]
        assert (border == colour).all()


@pytest.mark.parametrize("shape", [(50, 50), (100, 20), (20, 100), (31, 17)])
@pytest.mark.parametrize("target", [(16, 24), (24, 16), (9, 9)])
def test_places_reach_from_end_to_end(shape: tuple[int, int], target: tuple[int, int]) -> None:
    image = noise(*shape)
    whole = render(image, target, 3, "random")
    assert whole.shape[1:] >= target
    assert whole.shape[1] == target[0] or whole.shape[2] == target[1]
    np.testing.assert_array_equal(crop_at(whole, target), render(image, target, 3))
    height, width = target
    np.testing.assert_array_equal(crop_at(whole, target, 0.0), whole[:, :height, :width])
    np.testing.assert_array_equal(crop_at(whole, target, 1.0), whole[:, -height:, -width:])


def test_crops_do_not_share_a_cache(folder: Path) -> None:
    caches = [cached(folder, crop) for crop in ("centre", "pad", "random", "centre")]
    assert len({images.fingerprint for images in caches}) == 3
    assert [images.movable for images in caches] == [False, False, True, False]


def test_movable_images_are_cut_where_it_is_said(folder: Path) -> None:
    images = pickle.loads(pickle.dumps(cached(folder, "random")))
    centre = cached(folder, "centre").batch(range(6))
    assert torch.equal(images.batch(range(6), [0.5] * 6), centre)
    whole = render(Image.open(folder / "4.png"), SIZE, 3, "random")
    for place, index in ((0.0, 4), (1.0, -2), (0.3, 4)):
        expected = torch.from_numpy(crop_at(whole, SIZE, place).copy())
        assert torch.equal(images.batch([index], [place])[0], expected)


def test_without_places_each_image_has_its_own(tmp_path: Path) -> None:
    """And all places are as common: the mean of 200 columns of a ramp is that of the ramp."""
    ramp = np.arange(200, dtype=np.uint8)[None].repeat(4, 0)
    pixels = np.broadcast_to(ramp, (200, 4, 200))
    source = image_source(stored.npy(tmp_path, pixels))
    images = cache_images(source, (4, 4), 1, tmp_path / "cache", "random")
    starts = images.batch(range(200))[:, 0, 0, 0].float()
    assert torch.equal(images.batch(torch.arange(200))[:, 0, 0, 0].float(), starts)
    assert torch.equal(images.batch([-1]), images.batch([199]))
    expected = torch.linspace(0, 196, 200)
    assert (starts.sort().values - expected).abs().max() < 4


@pytest.mark.parametrize("stop", [0, 3])
def test_resumed_and_shared_streams_cut_the_same(folder: Path, stop: int) -> None:
    images = cached(folder, "random")

    def stream(size: int = 4, rank: int = 0, world_size: int = 1) -> BatchStream:
        return BatchStream(images, BatchShare(size, 1, True, rank, world_size))

    whole = list(islice(stream(), 8))
    first, second = stream(), stream()
    batches = list(islice(first, stop))
    second.load_state_dict(first.state_dict())
    batches += islice(second, 8 - stop)
    assert all(torch.equal(a, b) for a, b in zip(whole, batches, strict=True))
    for rank in range(2):
        half = list(islice(stream(2, rank, 2), 8))
        parts = [batch[2 * rank : 2 * rank + 2] for batch in whole]
        assert all(torch.equal(a, b) for a, b in zip(half, parts, strict=True))


def test_an_image_is_cut_elsewhere_in_every_batch(tmp_path: Path) -> None:
    source = image_source(stored.npy(tmp_path, stored.images(1, 8, 80)))
    images = cache_images(source, SIZE, 3, tmp_path / "cache", "random")
    batches = list(islice(BatchStream(images, BatchShare(5, 0)), 4))
    assert len({image.numpy().tobytes() for image in torch.cat(batches)}) > 10


def test_streams_cut_at_random_too(tmp_path: Path) -> None:
    shards = str(stored.tar(tmp_path, stored.images(3, 8, 80)))

    def batches(crop: str) -> list[torch.Tensor]:
        data = StreamDataModule.from_shards(
            8, shards, batch_size=3, crop=crop, cache_dir=str(tmp_path / "cache")
        )
        return list(islice(data.train_dataloader(), 4))

    random, again = batches("random"), batches("random")
    assert all(torch.equal(a, b) for a, b in zip(random, again, strict=True))
    assert len({image.numpy().tobytes() for image in torch.cat(random)}) > 8
    assert len({image.numpy().tobytes() for image in torch.cat(batches("centre"))}) == 3
    assert batches("pad")[0].shape == (3, 3, 8, 8)


@pytest.mark.parametrize("extents", ["[[8, 8]]", "[[8, 8], [7, 9]]", "[[8, 8], [8, 9]]", '"x"'])
def test_a_damaged_cache_of_movable_images_is_built_again(
    extents: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = image_source(stored.npy(tmp_path, stored.images(2, 8, 12)))
    images = cache_images(source, SIZE, 3, tmp_path / "cache", "random")
    expected = images.batch([0, 1])
    file = images.folder / "meta.json"
    whole = file.read_text()
    start = whole.index('"extents": ') + len('"extents": ')
    file.write_text(whole[:start] + extents + whole[whole.index("]\n]", start) + 3 :])
    with caplog.at_level(logging.WARNING):
        images = cache_images(source, SIZE, 3, tmp_path / "cache", "random")
    assert "is damaged" in caplog.text
    assert torch.equal(images.batch([0, 1]), expected)


def test_unknown_crops_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="crop must be one of centre, random, pad, got 'middle'"):
        ImageDataModule.from_folder(8, str(folder), crop="middle")


def parts(folder: Path, **options: object) -> list[str]:
    data = ImageDataModule.from_folder(8, str(folder), **options)  # type: ignore[arg-type]
    return [data.source.title(index) for index in range(len(data.source))]


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    (tmp_path / "classes").mkdir()
    for index in range(100):
        path = tmp_path / "classes" / f"{index // 50}" / f"{index:03d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(stored.png(np.full((4, 4), index, np.uint8)))
    return tmp_path / "classes"


def test_parts_are_all_images_and_share_none(hundred: Path) -> None:
    train, test = parts(hundred, held_out=0.2), parts(hundred, held_out=0.2, part="test")
    assert (len(train), len(test)) == (80, 20)
    assert sorted(train + test) == parts(hundred)
    assert train == sorted(train)
    assert {title[0] for title in test} == {"0", "1"}  # of both classes
    assert set(parts(hundred, held_out=0.1, part="test")) < set(test)
    assert set(parts(hundred, num_images=10, held_out=0.2)) < set(train)
    assert set(parts(hundred, num_images=10)) < set(parts(hundred, num_images=30))
    assert parts(hundred, num_images=1000) == parts(hundred)


def test_an_image_more_leaves_the_order_of_the_others(hundred: Path) -> None:
    before = set(parts(hundred, held_out=0.2, part="test"))
    (hundred / "0" / "new.png").write_bytes(stored.png(np.zeros((4, 4), np.uint8)))
    after = set(parts(hundred, held_out=0.2, part="test"))
    assert len(before ^ after) <= 1


def test_parts_keep_labels_and_pixels(hundred: Path, tmp_path: Path) -> None:
    data = ImageDataModule.from_folder(
        4, str(hundred), labels=True, num_images=12, channels=1, cache_dir=str(tmp_path / "cache")
    )
    values = data.images.batch(range(12))[:, 0, 0, 0]
    assert data.images.labels is not None
    assert torch.equal(data.images.labels, (values >= 50).long())
    assert data.images.titles == [f"{v // 50}/{v:03d}.png" for v in values.tolist()]
    whole = ImageDataModule.from_folder(4, str(hundred), labels=True).source.fingerprint()
    assert data.source.fingerprint() != whole


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_images": 0}, "num_images must be an int ≥ 1"),
        ({"held_out": 1}, "held_out must be a fraction"),
        ({"held_out": True}, "held_out must be a fraction"),
        ({"held_out": float("nan")}, "held_out must be a fraction"),
        ({"part": "all"}, "part must be train or test"),
        ({"part": "test"}, r"data\.held_out=0\.0 keeps 0 of 100 images .* data\.part=test"),
        ({"held_out": 0.999}, r"keeps 100 of 100 images .* none for data\.part=train"),
    ],
)
def test_parts_that_cannot_be(options: dict[str, object], words: str, hundred: Path) -> None:
    with pytest.raises((ValueError, UserError), match=words):
        parts(hundred, **options)
