"""The table of a painter's measures, against numpy on the canvases themselves."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.generators.painting import StrokePainting
from fpainter.pictures.spectrum import draw_spectrum, spectrum, write_spectrum
from tests.generators.paintings import painting_of
from tests.training.toys import D_LATENT, SIZE, STEPS, painter


def rows(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def entropy_size(shares: np.ndarray) -> float:
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def test_table_against_numpy(tmp_path: Path) -> None:
    torch.manual_seed(2)
    artist, z = painter(), torch.randn(5, D_LATENT)
    with torch.no_grad():
        whole, parts = artist.paint(z), [artist.paint(z[:3]), artist.paint(z[3:])]
    write_spectrum(spectrum(parts), tmp_path / "spectrum.csv")
    table = rows(tmp_path / "spectrum.csv")
    assert list(table[0]) == [
        "step", "share", "effective_rank", "rate_red", "rate_green", "rate_blue",
        "key_peak", "key_columns", *(f"singular_{i}" for i in range(1, STEPS + 1)),
    ]  # fmt: skip
    assert isinstance(whole, StrokePainting)
    u, p = whole.rows.double().numpy(), whole.cols.double().numpy()
    key, rate = (whole.instructions[name].double().numpy() for name in ("key", "rate"))
    updates = np.einsum("bcth,bctw->btchw", u, p)
    canvases = updates.cumsum(axis=1)
    finished = canvases[:, -1:]
    assert [row["step"] for row in table] == [1, 2, 3, 4]
    for t, row in enumerate(table):
        values = np.linalg.svd(canvases[:, t], compute_uv=False)
        sizes = [entropy_size(v / v.sum()) for v in values.reshape(-1, SIZE)]
        norm = (finished**2).sum(axis=(1, 2, 3, 4))
        expected = {
            "share": ((updates[:, t : t + 1] * finished).sum(axis=(1, 2, 3, 4)) / norm).mean(),
            "effective_rank": np.mean(sizes),
            "rate_red": rate[:, 0, t].mean(),
            "rate_green": rate[:, 1, t].mean(),
            "rate_blue": rate[:, 2, t].mean(),
            "key_peak": (key[:, :, t].max(axis=-1) / key[:, :, t].sum(axis=-1)).mean(),
            "key_columns": np.mean([entropy_size(k) for k in key[:, :, t].reshape(-1, SIZE)]),
            **{f"singular_{i + 1}": values[..., i].mean() for i in range(STEPS)},
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert sum(row["share"] for row in table) == pytest.approx(1)


def test_one_hot_keys_and_few_columns(tmp_path: Path) -> None:
    key = torch.eye(3)[None, None, [0, 2]]  # one channel, two steps, three columns
    key[0, 0, 1] = torch.tensor([0.5, -0.5, 0.0])
    value = torch.ones(1, 1, 2, 2)
    painting = painting_of(value, key, rate=torch.full((1, 1, 2, 2), 0.25))
    measured = spectrum([painting])
    torch.testing.assert_close(measured.key_peak, torch.tensor([[1, 0.5]]).double())
    torch.testing.assert_close(measured.key_columns, torch.tensor([[1, 2.0]]).double())
    assert measured.singular.shape == (1, 2, 2)
    write_spectrum(measured, tmp_path / "spectrum.csv")
    assert rows(tmp_path / "spectrum.csv")[1]["rate_grey"] == 0.25
    draw_spectrum(measured, tmp_path / "spectrum.png")  # of a single image
    assert (tmp_path / "spectrum.png").is_file()


def test_a_canvas_to_begin_with() -> None:
    with torch.no_grad():
        painting = painter().paint(torch.randn(2, D_LATENT))
    begun = replace(painting, canvas=torch.randn(2, 3, SIZE, SIZE))
    measured = spectrum([begun])
    expected = np.linalg.svd(begun.canvases().double().numpy(), compute_uv=False).mean(axis=2)
    np.testing.assert_allclose(measured.singular, expected, rtol=1e-6)


def test_figure(tmp_path: Path) -> None:
    with torch.no_grad():
        measured = spectrum([painter().paint(torch.randn(3, D_LATENT))])
    assert measured.share.shape == (3, STEPS)
    draw_spectrum(measured, tmp_path / "spectrum.png")
    with Image.open(tmp_path / "spectrum.png") as picture:
        assert picture.width > 1000
        assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
