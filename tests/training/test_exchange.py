"""Gradients of several processes, averaged once and alike in all of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn

from fpainter.training import exchange
from tests.cli.forks import SERVER

SHAPES = [(2, 3), (), (5,), (4,)]


def average(rank: int, path: Path) -> None:
    """Average in one of two processes; the second alone has the third gradient, nobody the last."""
    distributed.init_process_group("gloo", f"file://{path / 'meet'}", rank=rank, world_size=2)
    exchange.BUCKET_BYTES = 20
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in SHAPES]
    for index, parameter in enumerate(parameters[: 2 + rank]):
        parameter.grad = torch.full_like(parameter, 10.0 * index + rank)
    frozen = nn.Parameter(torch.zeros(3), requires_grad=False)
    exchange.average_gradients([frozen, *parameters])
    assert frozen.grad is None
    assert exchange.average(torch.tensor(3.0 * rank)) == 1.5
    torch.save([parameter.grad for parameter in parameters], path / f"{rank}.pt")
    distributed.destroy_process_group()


def test_means_over_processes(tmp_path: Path) -> None:
    how = SERVER.get_start_method()
    multiprocessing.start_processes(average, (tmp_path,), nprocs=2, start_method=how)
    for rank in range(2):
        first, second, third, last = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(first, torch.full((2, 3), 0.5))
        torch.testing.assert_close(second, torch.tensor(10.5))
        torch.testing.assert_close(third, torch.full((5,), 10.5))
        assert last is None


def test_one_process_is_its_own_mean() -> None:
    assert exchange.average(torch.tensor(3.0)) == 3.0


@pytest.mark.parametrize(("size", "num_buckets"), [(1, 4), (24, 3), (10_000, 1)])
def test_buckets(size: int, num_buckets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors: list[Any] = [torch.zeros(shape) for shape in SHAPES]
    monkeypatch.setattr(exchange, "BUCKET_BYTES", size)
    buckets = list(exchange._buckets(tensors))
    assert len(buckets) == num_buckets
    assert [id(each) for bucket in buckets for each in bucket] == [id(each) for each in tensors]
