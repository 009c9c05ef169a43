import pytest

from fpainter.nn.seeds import stream_seed


@pytest.mark.parametrize("stream", ["", "noise", "pass"])
def test_no_two_indices_share_a_generator_state(stream: str) -> None:
    # 2¹⁸ draws from 2³² would collide about eight times by chance.
    assert len({stream_seed(0, index, stream) for index in range(2**18)}) == 2**18


def test_streams_and_seeds_differ() -> None:
    found = {stream_seed(seed, 5, stream) for seed in (-1, 0, 1) for stream in ("", "a", "b")}
    assert len(found) == 9


@pytest.mark.parametrize("index", [-1, 2**32])
def test_out_of_range_is_an_error(index: int) -> None:
    with pytest.raises(ValueError, match="index must be in"):
        stream_seed(0, index)
