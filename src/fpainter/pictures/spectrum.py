"""How a painter paints, in numbers: spectra, shares, keys and rates by painting step."""

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fpainter.evaluation.metrics.painting import effective_rank, step_shares
from fpainter.generators.painting import Painting, StrokePainting
from fpainter.pictures.curves import blank
from fpainter.pictures.grids import CHANNELS

NUM_SINGULAR = 8
COLOURS = {"grey": "0.35", "red": "#c0392b", "green": "#27803f", "blue": "#2860a8", "alpha": "0.6"}
TITLES = (
    "singular values of the canvas", "effective rank of the canvas", "share in the finished image",
    "rate", "largest entry of the key", "columns that the key writes to",
)  # fmt: skip
BAND = (0.1, 0.9)  # quantiles over images between which the figure is shaded


class Spectrum(NamedTuple):
    """Measures of N images by painting step, float64, means over channels unless they have them.

    Attributes:
        share: of each step in the finished image [N T]; see `step_shares`.
        effective_rank: of the canvas after each step [N T].
        rate: with which the step was written [N T C].
        key_peak: the largest entry's share of the key [N T]; 1 where it is one-hot.
        key_columns: how many columns the key writes to, exp of the entropy of its entries' shares
            [N T].
        singular: the largest singular values of the canvas after each step [N T S], S at most 8
            and, on an empty canvas, T.
    """

    share: Tensor
    effective_rank: Tensor
    rate: Tensor
    key_peak: Tensor
    key_columns: Tensor
    singular: Tensor

    @property
    def rates(self) -> dict[str, Tensor]:
        """Return the rates of each channel [N T] by its name."""
        channels = CHANNELS.get(self.rate.shape[-1], ())
        return dict(zip(channels, self.rate.unbind(dim=-1), strict=True))


def spectrum(paintings: Iterable[Painting]) -> Spectrum:
    """Measure paintings with the same number of steps, a batch at a time."""
    batches = [_measure(painting) for painting in paintings]
    return Spectrum(*(torch.cat(parts).cpu() for parts in zip(*batches, strict=True)))


def _measure(painting: Painting) -> Spectrum:
    ranks, singular = [], []
    small = _rotated(painting)
    for step in range(1, painting.num_steps + 1):  # all canvases at once may not fit in memory
        canvas = small.canvases([step])[:, 0].double()
        ranks.append(effective_rank(canvas).mean(dim=1))
        singular.append(torch.linalg.svdvals(canvas)[..., :NUM_SINGULAR].mean(dim=1))
    entries = painting.along("columns").abs().double()
    entries = entries / entries.sum(dim=-1, keepdim=True)
    rate = painting.instructions.get("rate", entries[:, :0])  # of no channel, if there is none
    rate = rate.double().flatten(3).mean(dim=-1)
    return Spectrum(
        share=step_shares(painting),
        effective_rank=torch.stack(ranks, dim=1),
        rate=rate.mT,
        key_peak=entries.amax(dim=-1).mean(dim=1),
        key_columns=torch.special.entr(entries).sum(dim=-1).exp().mean(dim=1),
        singular=torch.stack(singular, dim=1),
    )


def _rotated(painting: Painting) -> Painting:
    """Return a painting of at most T x T pixels whose canvases have the same singular values.

    Strokes on an empty canvas that do not fade are so simple; other paintings are returned as they
    are. With QR decompositions U = Q R of the rows and P = Q' R' of the columns, every canvas is
    Q (R R'^T, summed over the same steps) Q'^T, and the orthogonal Q and Q' do not change them.
    """
    if not isinstance(painting, StrokePainting) or painting.fades or painting.canvas is not None:
        return painting
    rows, cols = (
        torch.linalg.qr(factor.double().mT, mode="r").R.mT
        for factor in (painting.rows, painting.cols)
    )
    return replace(painting, rows=rows, cols=cols)


def write_spectrum(measured: Spectrum, path: Path) -> None:
    """Write means over images as CSV, a row for each step."""
    columns = {
        "share": measured.share,
        "effective_rank": measured.effective_rank,
        **{f"rate_{name}": values for name, values in measured.rates.items()},
        "key_peak": measured.key_peak,
        "key_columns": measured.key_columns,
        **{f"singular_{i + 1}": v for i, v in enumerate(measured.singular.unbind(dim=-1))},
    }
    means = [values.mean(dim=0).tolist() for values in columns.values()]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *columns])
        for step, row in enumerate(zip(*means, strict=True), start=1):
            writer.writerow([step, *row])


def draw_spectrum(measured: Spectrum, path: Path) -> None:
    """Draw the measures over steps as one PNG: means over images, most images shaded."""
    from matplotlib import colormaps  # slow to import
    from matplotlib.ticker import MaxNLocator

    num_images, num_steps = measured.share.shape
    of_all = {"xlabel": "painting step", "xlim": (0.5, num_steps + 0.5)}
    figure, panels = blank(2, 3, (12, 6.4), **of_all)
    for axes, title in zip(panels, TITLES, strict=True):
        axes.set_title(title, fontsize=11)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
    singular, rank, share, rate, peak, columns = panels
    num_values = measured.singular.shape[-1]
    for index, values in enumerate(measured.singular.unbind(dim=-1)):
        colour = colormaps["viridis"](0.9 * index / max(1, num_values - 1))
        _line(singular, values, colour, f"{index + 1}", band=False)
    small = {"fontsize": 8, "frameon": False}
    singular.legend(ncols=4, loc="upper left", title="largest first", title_fontsize=8, **small)
    _line(rank, measured.effective_rank)
    mean, low, high = _over_images(measured.share)
    steps = range(1, num_steps + 1)
    share.bar(steps, mean, color="#7da7d9", width=0.8)
    share.vlines(steps, low, high, color="0.3", linewidth=0.8)
    share.axhline(0, color="0.3", linewidth=0.8)
    for name, values in measured.rates.items():
        _line(rate, values, COLOURS[name], name)
    if measured.rates:
        rate.legend(**small)
    _line(peak, measured.key_peak)
    _line(columns, measured.key_columns)
    for axes in (singular, rank, peak, columns):
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])  # a flat curve is not hidden by the frame
    singular.set_ylim(top=1.25 * singular.get_ylim()[1])  # room for the legend
    of = f"means over {num_images} images; shaded: the middle 80 %" if num_images > 1 else "1 image"
    figure.suptitle(of, fontsize=10, color="0.35")
    figure.savefig(path, dpi=120)


def _line(
    axes: Any, values: Tensor, colour: Any = "#2860a8", label: str | None = None, band: bool = True
) -> None:
    """Draw the mean of [N T] over images, and where most of them are."""
    steps = range(1, values.shape[1] + 1)
    mean, low, high = _over_images(values)
    axes.plot(steps, mean, color=colour, label=label, marker="." if len(steps) < 3 else None)
    if band and len(values) > 1:
        axes.fill_between(steps, low, high, color=colour, alpha=0.12, linewidth=0)


def _over_images(values: Tensor) -> tuple[Any, Any, Any]:
    """Return the mean of [N T] over images and the quantiles of `BAND`."""
    low, high = values.quantile(torch.tensor(BAND, dtype=values.dtype), dim=0)
    return values.mean(dim=0).numpy(), low.numpy(), high.numpy()
