"""The order in which one process reads the samples of shards, pass after pass."""

import itertools
import random
from collections.abc import Iterable, Iterator

from fpainter.data.loader import BatchShare
from fpainter.data.streaming.shards import Sample, Shards, read_shard
from fpainter.errors import UserError
from fpainter.nn.seeds import stream_seed


class ShuffledSamples:
    """All samples of some shards in random order, pass after pass, shared by several processes.

    In every pass the shards come in another order. With as many shards as processes or more, each
    process reads its own share of them; otherwise each reads all and keeps every
    `world_size`-th sample. So all processes together have every sample once per pass, but one
    with a smaller share begins the next pass earlier. What is read goes through a buffer, from
    which a random sample leaves for every one that enters.

    The order is a function of (seed, pass, rank) alone.

    Attributes:
        num_samples: how many samples a shard has, for those that were read to their end. To know
            more of them is to skip faster.

    Args:
        shards: the shards.
        share: the seed, and which of how many processes this is.
        buffer_size: samples held in memory, positive; 1 leaves the order within shards.
    """

    def __init__(self, shards: Shards, share: BatchShare, buffer_size: int) -> None:
        self.shards = shards
        self.share = share
        self.buffer_size = buffer_size
        self.num_samples: dict[int, int] = {}
        # Start, stop and step: of this process's shards, and of its samples in what these hold.
        own, every = (share.rank, None, share.world_size), (0, None, 1)
        enough = len(shards.titles) >= share.world_size
        self._own_shards, self._own_samples = (own, every) if enough else (every, own)

    def start(self, skip: int = 0) -> Iterator[Sample]:
        """Yield this process's samples, without an end.

        Args:
            skip: how many to leave out at the beginning. Passes whose length is known are not
                read for this; others are.

        Raises:
            UserError: if a shard cannot be read, or there is no sample in a whole pass.
        """
        for number in itertools.count():
            shards = self._order(number)
            length = self._length(shards)
            if not length or skip < length:
                generator = self._generator(number, f"buffer {self.share.rank}")
                stored = itertools.chain.from_iterable(map(self._counted, shards))
                own = itertools.islice(stored, *self._own_samples)
                shuffled = _through_buffer(own, self.buffer_size, generator)
                yield from itertools.islice(shuffled, skip, None)
                length = self._length(shards)  # known by now
            if not length:
                raise UserError(
                    f"no images for process {self.share.rank + 1} of {self.share.world_size} in "
                    f"the {len(self.shards.titles)} shards of {self.shards.name}"
                )
            skip = max(0, skip - length)

    def _order(self, number: int) -> list[int]:
        """Return which shards this process reads in a pass, one after the other."""
        shards = list(range(len(self.shards.titles)))
        self._generator(number, "pass").shuffle(shards)
        return shards[slice(*self._own_shards)]

    def _length(self, shards: list[int]) -> int | None:
        """Return how many samples of these shards this process has, if it is known."""
        if not all(shard in self.num_samples for shard in shards):
            return None
        total = sum(self.num_samples[shard] for shard in shards)
        return len(range(total)[slice(*self._own_samples)])

    def _counted(self, shard: int) -> Iterator[Sample]:
        count = 0
        for sample in read_shard(self.shards, shard):
            count += 1
            yield sample
        self.num_samples[shard] = count

    def _generator(self, number: int, stream: str) -> random.Random:
        return random.Random(stream_seed(self.share.seed, number, stream))


def _through_buffer(
    samples: Iterable[Sample], size: int, generator: random.Random
) -> Iterator[Sample]:
    buffer: list[Sample] = []
    for sample in samples:
        if len(buffer) < size:
            buffer.append(sample)
            continue
        place = generator.randrange(size)
        yield buffer[place]
        buffer[place] = sample
    generator.shuffle(buffer)
    yield from buffer
