"""What two processes find out together is what one finds out alone."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from fpainter.evaluation.metrics.fid import PaintedFID
from fpainter.evaluation.processes import rank
from tests.cli.forks import in_a_process
from tests.evaluation.toys import TinyExtractor, ToyImages, random_images, toy_features


class Exact(TinyExtractor):
    """Computes in float64, in which batches do not matter."""

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(images.flatten(1).double() / 255 @ self.weight.double().T)


class Own(ToyImages):
    """Counts the images that this process reads."""

    read = 0

    def batch(self, indices: Sequence[int]) -> Tensor:
        self.read += len(indices)
        return super().batch(indices)


def draw(indices: Sequence[int]) -> Tensor:
    return random_images(31, 9)[list(indices)]


def find_out(cache_dir: Path, num: int = 41) -> dict[str, Any]:
    """Ask for all that is shared."""
    images, extractor = Own(num), Exact()
    features = toy_features(cache_dir, extractor, batch_size=4)
    statistics = features.statistics(images)
    found: dict[str, Any] = {
        "read": images.read,
        "mean": statistics.moments.mean,
        "cov": statistics.moments.cov,
        "sqrt_cov": statistics.sqrt_cov,
        "name": statistics.path.name,
        "sample": features.sample(images, 15),
    }
    calls = extractor.calls
    assert torch.equal(features.statistics(images).moments.cov, found["cov"])
    assert torch.equal(features.sample(images, 15), found["sample"])
    assert extractor.calls == calls, "computed what had been kept"
    metric = PaintedFID(features, images, num_kept=20)
    return found | {"fid": metric.score(draw, 31), "kept": metric.sample}


def _process(number: int, folder: Path, num: int, delay: float) -> None:
    address = f"file://{folder / 'meeting'}"
    distributed.init_process_group("gloo", init_method=address, rank=number, world_size=2)
    time.sleep(delay if rank() == 0 else 0)
    # Disks of their own: what the second process knows, the first has told it.
    torch.save(find_out(folder / str(number), num), folder / f"{number}.pt")
    distributed.destroy_process_group()


def two_processes(folder: Path, num: int = 41, delay: float = 0.0) -> list[dict[str, Any]]:
    # Forks of a process that has no threads yet need not import everything each.
    done = in_a_process("tests.evaluation.test_processes", folder, num, delay, seconds=300)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(2)]


@pytest.mark.parametrize("num", [41, 2])
def test_two_processes_find_out_what_one_does(num: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    one = find_out(tmp_path / "one", num)
    for name, two in enumerate(two_processes(tmp_path, num)):
        assert two.pop("read") == (num - name + 1) // 2  # its share
        for what in ("mean", "cov", "kept"):
            torch.testing.assert_close(two[what], one[what], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(two["sample"], one["sample"])
        torch.testing.assert_close(two["sqrt_cov"], one["sqrt_cov"], rtol=1e-6, atol=1e-8)
        assert two["name"] == one["name"]
        assert two["fid"] == pytest.approx(one["fid"], rel=1e-9)
    assert len(list((tmp_path / "0").rglob("*.safetensors"))) == 2
    assert not (tmp_path / "1").exists()


if __name__ == "__main__":
    arguments = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    multiprocessing.start_processes(_process, arguments, nprocs=2, start_method="fork")
