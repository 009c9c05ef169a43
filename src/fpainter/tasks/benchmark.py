"""Painting, training, sampling and loading, timed.

Ratios are against the plainest form of the same mathematics, run in turn with ours.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from hydra.utils import instantiate
from lightning import seed_everything
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Column, Table

from fpainter.benchmarks.iteration import iteration
from fpainter.benchmarks.painting import any_size, growth, painting
from fpainter.benchmarks.phases import PHASES, PRECISIONS, phases
from fpainter.benchmarks.throughput import inception, loading, sampling
from fpainter.data.datamodule import ImageDataModule
from fpainter.errors import UserError
from fpainter.evaluation.inception.network import load_inception
from fpainter.evaluation.protocols import get_protocol
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import blaming, check_numbers, entries
from fpainter.training.gan_module import GANModule
from fpainter.training.precision import pick_precision

log = logging.getLogger(__name__)

Results = dict[str, float]


def benchmark(cfg: DictConfig) -> Results:
    """Measure what is asked for, print a table and write a JSON file if one is named.

    Args:
        cfg: composed from ``configs/benchmark.yaml``.

    Returns:
        every figure by its name, such as ``painting.speedup``; seconds, bytes, images per second
        or ratios.

    Raises:
        UserError: if something is asked for that there is not, or nothing can be measured.
    """
    parts: dict[str, Callable[[], Results]] = {
        "painting": lambda: painting(module.generator, cfg.batch_size, cfg.repeats, device),
        "growth": lambda: growth(cfg.data.channels, cfg.repeats, device),
        "any_size": lambda: any_size(module.sampler(), cfg.repeats, device),
        "iteration": lambda: iteration(
            module,
            next(data.train_dataloader()),
            cfg.repeats,
            device,
            pick_precision(cfg.trainer.precision, device.type),
        ),
        "phases": lambda: phases(module, data.train_dataloader(), cfg.repeats, device),
        "sampling": lambda: sampling(module.sampler(), cfg.repeats, device),
        "loading": lambda: loading(
            data.train_dataloader(), cfg.repeats, results.get("iteration.seconds")
        ),
        "inception": lambda: inception(
            load_inception(cfg.fid.weights_path, protocol).to(device),
            protocol,
            data.images.batch(range(min(64, len(data.images)))).to(device),
            cfg.repeats,
        ),
    }
    wanted = entries(cfg.what)
    unknown = [name for name in wanted if name not in parts]
    if unknown or not wanted:
        raise UserError(f"what={cfg.what}: name one or more of {', '.join(parts)}")
    check_numbers(cfg, "repeats")
    if OmegaConf.select(cfg, "data.labels"):
        raise UserError("data.labels=true: only painters without labels are timed; leave it out")
    device = pick_device(cfg.device)
    with blaming("fid"):
        protocol = get_protocol(cfg.fid.protocol)
    seed_everything(cfg.seed, verbose=False)
    data: ImageDataModule = instantiate(cfg.data)
    module: GANModule = instantiate(cfg.model).to(device)
    results: Results = {}

    for name in [name for name in parts if name in wanted]:  # loading after iteration
        log.info("measuring %s", name)
        try:
            with blaming(f"what={name}"):
                found = parts[name]()
        except UserError as error:  # such as no loop to compare with
            if len(wanted) == 1:
                raise
            log.warning("%s: not measured: %s", name, error)
            continue
        results |= {f"{name}.{key}": value for key, value in found.items()}
    console = Console(width=100)
    if "phases" in wanted:
        console.print(_phase_table(results))
    others = {name: value for name, value in results.items() if not name.startswith("phases.")}
    if others:
        console.print(_table(others))
    if cfg.output is not None:
        path = Path(cfg.output).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=2) + "\n")
        log.info("written to %s", path)
    return results


def _table(results: Results) -> Table:
    table = Table("figure", Column("value", justify="right"), title=_machine())
    for name, value in results.items():
        table.add_row(name, _shown(name.rpartition(".")[2], value))
    return table


def _phase_table(results: Results) -> Table:
    kinds = ("seconds", "share", "gflops", "ratio")
    shown = [(precision, kind) for precision in PRECISIONS for kind in kinds]
    shown.remove((PRECISIONS[0], "ratio"))  # to itself
    headers = {"seconds": "time", "gflops": "GFLOP/s", "ratio": "faster by"}
    columns = [
        Column(f"{precision}\n{headers.get(kind, kind)}", justify="right")
        for precision, kind in shown
    ]
    table = Table("phase", *columns, title=_machine())
    for name in (*PHASES, "iteration"):
        values = [results.get(f"phases.{precision}.{name}.{kind}") for precision, kind in shown]
        if any(value is not None for value in values):
            pairs = zip(shown, values, strict=True)
            row = ["" if v is None else _shown(kind, v) for (_, kind), v in pairs]
            table.add_row(name, *row, style="bold" if name == "iteration" else None)
    return table


def _machine() -> str:
    return f"{torch.get_num_threads()} threads, torch {torch.__version__}"


def _shown(kind: str, value: float) -> str:
    if kind.startswith("exponent"):  # of seconds or bytes
        return f"{value:.2f}"
    if kind.endswith("seconds"):
        return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"
    if kind.endswith("bytes"):
        return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"
    if kind.endswith("share") or kind == "memory_ratio":
        return f"{100 * value:.3g} %"
    if kind == "speedup":
        return f"{value:.1f} ×"
    if kind == "ratio":
        return f"{value:.2f} ×"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
