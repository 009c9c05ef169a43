"""Images read from shards: once per pass, shared, exactly resumable, damaged."""

import time
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from fpainter.data import render_all
from fpainter.data.loader import BatchShare
from fpainter.data.streaming import stream as shard_stream
from fpainter.data.streaming.shards import Sample, samples_in_order
from fpainter.data.streaming.shuffling import ShuffledSamples
from fpainter.data.streaming.stream import ShardStream
from fpainter.errors import UserError
from tests.data.conftest import Open, encoded


class Memory:
    """Shards of images with running numbers, damaged where asked for."""

    name = "memory"

    def __init__(self, *sizes: int, damaged: frozenset[int] = frozenset()) -> None:
        self.titles = [f"shard {shard}" for shard in range(len(sizes))]
        numbers = iter(range(sum(sizes)))
        self.samples = [
            [
                Sample(f"image {number}", b"no image" if number in damaged else encoded(number))
                for number in islice(numbers, size)
            ]
            for size in sizes
        ]
        self.read_so_far: list[int] = []

    def fingerprint(self) -> str:
        return repr(self.samples)

    def read(self, shard: int) -> Iterator[Sample]:
        self.read_so_far.append(shard)
        yield from self.samples[shard]


def numbers(batches: list[Tensor]) -> list[int]:
    """Return which images the batches are, mirrored or not."""
    return [int(image.min()) for batch in batches for image in batch]


def take(stream: Iterator[Tensor], count: int) -> list[Tensor]:
    return list(islice(stream, count))


def test_each_pass_has_each_image_once(opened: Open) -> None:
    stream = opened(Memory(5, 1, 0, 6), batch_size=5)
    first = take(stream, 1)
    assert first[0].shape == (5, 1, 2, 2)
    assert first[0].dtype == torch.uint8
    served = numbers(first + take(stream, 23))
    passes = [served[start : start + 12] for start in range(0, 120, 12)]
    assert all(sorted(order) == list(range(12)) for order in passes)
    assert len({tuple(order) for order in passes}) == 10
    assert numbers(take(opened(Memory(5, 1, 0, 6), batch_size=5, seed=1), 24)) != served


def test_shards_are_shuffled_and_the_buffer_shuffles_within() -> None:
    def order(buffer_size: int) -> list[str]:
        samples = ShuffledSamples(Memory(4, 4, 4, 4), BatchShare(1, seed=3), buffer_size).start()
        return [sample.title for sample in islice(samples, 16)]

    plain = order(1)
    fours = [plain[start : start + 4] for start in range(0, 16, 4)]
    ascending = [[f"image {number}" for number in range(s, s + 4)] for s in range(0, 16, 4)]
    assert sorted(fours) == sorted(ascending)
    assert fours != ascending
    assert order(3) != plain
    assert order(100) != plain  # though all are read before the first leaves
    # The last shard's images cannot have been the first to leave.
    assert not set(order(3)[:4]) & set(plain[12:])
    one = ShuffledSamples(Memory(90), BatchShare(1, seed=3), 30).start()
    # The first sixty leave while others enter.
    left = [int(sample.title.removeprefix("image ")) for sample in islice(one, 60)]
    assert 20 < sum(after < before for before, after in pairwise(left)) < 40


@pytest.mark.parametrize(
    ("sizes", "world_size"), [((5, 3, 4, 2), 2), ((5, 3, 4, 2), 3), ((7, 4), 3), ((9,), 2)]
)
def test_ranks_share_each_pass(sizes: tuple[int, ...], world_size: int) -> None:
    """No image is lost or read twice within a pass, though the shares differ in size."""
    shards, passes = Memory(*sizes), 6
    served: list[list[str]] = [[] for _ in range(passes)]
    for rank in range(world_size):
        samples = ShuffledSamples(shards, BatchShare(1, 0, False, rank, world_size), 3)
        labels = (sample.title for sample in samples.start())
        for number in range(passes):
            before = len(shards.read_so_far)
            # What is read for a pass tells its length, which is not served anywhere.
            own = samples._order(number)
            length = sum(sizes[shard] for shard in own)
            if len(sizes) < world_size:
                length = len(range(rank, length, world_size))
            served[number] += islice(labels, length)
            assert set(shards.read_so_far[before:]) <= set(own)
    for labels_of_pass in served:
        assert sorted(labels_of_pass) == sorted(f"image {n}" for n in range(sum(sizes)))
    assert len({tuple(labels_of_pass) for labels_of_pass in served}) > 1


DAMAGED = frozenset({0, 3, 4, 11})


@pytest.mark.parametrize("damaged", [frozenset(), DAMAGED])
@pytest.mark.parametrize("stop", [0, 1, 3, 4, 9, 20])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2), (1, 4)])
def test_resume_equals_uninterrupted(
    opened: Open, stop: int, rank: int, world_size: int, damaged: frozenset[int]
) -> None:
    def fresh() -> ShardStream:
        # Of fourteen samples, two of four processes have four and two have three.
        shards = Memory(5, 3, 6, damaged=damaged)
        return opened(shards, flip=True, seed=1, rank=rank, world_size=world_size)

    whole = take(fresh(), 25)
    first = fresh()
    batches = take(first, stop)
    second = fresh()
    take(second, 2)  # what it has done before is forgotten
    second.load_state_dict(first.state_dict())
    batches += take(second, 25 - stop)
    assert all(torch.equal(a, b) for a, b in zip(whole, batches, strict=True))


def test_other_processes_resume_from_the_first_ones_state(opened: Open) -> None:
    """Lightning saves the position of the first process only."""

    def fresh(rank: int) -> ShardStream:
        return opened(Memory(5, 3, 4), rank=rank, world_size=2)

    first = fresh(0)
    take(first, 9)
    whole = take(fresh(1), 14)
    other = fresh(1)
    other.load_state_dict(first.state_dict())
    assert numbers(take(other, 5)) == numbers(whole[9:])


def test_resuming_does_not_read_passes_of_known_length(opened: Open) -> None:
    first = opened(Memory(5, 3, 4), batch_size=4)
    take(first, 3 * 7 + 1)
    shards = Memory(5, 3, 4)
    second = opened(shards, batch_size=4)
    second.load_state_dict(first.state_dict())
    take(second, 1)
    assert shards.read_so_far[:3] == first._samples._order(7) != first._samples._order(0)
    # One batch, and those made ahead: the eighth pass and the beginning of the ninth.
    assert len(shards.read_so_far) <= 6


def test_resuming_with_other_processes_or_shards_says_so(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(Memory(5, 3, 4), batch_size=4)
    take(first, 5)
    for shards, options in (
        (Memory(5, 3, 4), {"batch_size": 2, "world_size": 2}),
        (Memory(5, 3), {"batch_size": 4}),
    ):
        caplog.clear()
        other = opened(shards, **options)
        other.load_state_dict(first.state_dict())
        assert "another number of processes or with other shards" in caplog.text
        assert other.state_dict()["next_batch"] == 5
        assert take(other, 1)[0].shape[0] == options["batch_size"]


def test_flips(opened: Open) -> None:
    images = torch.cat(take(opened(Memory(6, 6), batch_size=50, flip=True), 40))
    mirrored = images[:, 0, 0, 0] > images[:, 0, 0, 1]
    # 2000 coins: 5 standard deviations are 112.
    assert abs(int(mirrored.sum()) - 1000) < 112
    assert (images.amax((1, 2, 3)) - images.amin((1, 2, 3)) == 100).all()
    plain = torch.cat(take(opened(Memory(6, 6), batch_size=50), 1))
    assert (plain[:, 0, 0, 0] < plain[:, 0, 0, 1]).all()


def test_damaged_images_are_left_out_and_named(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    stream = opened(Memory(5, 3, 4, damaged=DAMAGED), batch_size=1)
    served = numbers(take(stream, 120))  # ten passes
    good = set(range(12)) - DAMAGED
    assert set(served) == good
    # Each its ten times, and what took the place of the damaged ones.
    assert all(served.count(number) >= 10 for number in good)
    for number in DAMAGED:
        assert caplog.text.count(f"image {number} cannot be read and is left out: not an im") == 1


def test_large_pictures_are_decoded_one_at_a_time(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow takes a gigabyte for the largest."""
    monkeypatch.setattr(render_all, "_LARGE_PIXELS", 0)
    inside: set[int] = set()
    most = []
    resize = Image.Image.resize

    def slow(image: Image.Image, *arguments: Any) -> Image.Image:
        inside.add(id(image))
        time.sleep(0.01)
        most.append(len(inside))
        inside.remove(id(image))
        return resize(image, *arguments)

    monkeypatch.setattr(Image.Image, "resize", slow)
    take(opened(Memory(6, 6), batch_size=6), 1)
    assert max(most) == 1


def test_many_damaged_images_are_counted(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    stream = opened(Memory(40, damaged=frozenset(range(1, 40))), batch_size=8)
    assert set(numbers(take(stream, 10))) == {0}
    assert caplog.text.count("cannot be read and is left out") == 5
    assert "10 images that cannot be read have been left out so far" in caplog.text
    assert len(caplog.records) == 6


def test_only_damaged_images_are_refused(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_stream, "_MOST_DAMAGED", 30)
    with pytest.raises(UserError, match=r"30 images one after the other .* last of them image \d"):
        next(opened(Memory(4, damaged=frozenset(range(4)))))


@pytest.mark.parametrize(("sizes", "world_size"), [((0, 0), 1), ((1,), 2)])
def test_shards_without_images_are_refused(
    opened: Open, sizes: tuple[int, ...], world_size: int
) -> None:
    stream = opened(Memory(*sizes), rank=world_size - 1, world_size=world_size)
    with pytest.raises(UserError, match=f"no images for process {world_size} of {world_size} in"):
        next(stream)


class Flaky(Memory):
    """Fails in the middle of its second shard, as often as asked for."""

    def __init__(self, failures: int) -> None:
        super().__init__(3, 4, 2)
        self.failures = failures

    def read(self, shard: int) -> Iterator[Sample]:
        for place, sample in enumerate(super().read(shard)):
            if (shard, place) == (1, 2) and self.failures:
                self.failures -= 1
                raise OSError("connection lost\nand a trace")
            yield sample


def test_a_shard_that_fails_is_read_once_more(caplog: pytest.LogCaptureFixture) -> None:
    labels = [sample.title for sample in samples_in_order(Flaky(1))]
    assert labels == [f"image {number}" for number in range(9)]
    assert "the shard shard 1 cannot be read (connection lost): trying once more" in caplog.text


def test_a_shard_that_fails_again_ends_the_stream(opened: Open) -> None:
    stream = opened(Flaky(2), batch_size=1, buffer_size=1)
    with pytest.raises(UserError, match=r"the shard shard 1 cannot be read \(connection lost\), a"):
        take(stream, 9)
