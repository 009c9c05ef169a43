"""Importing plain state dicts of StyleGAN2 and GANsformer, and what is refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fpainter.checkpoints.inference import load_painter
from tests.cli.conftest import refused, run
from tests.reference.released import part, read, relative

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]
GOLDEN = Path(__file__).parents[1] / "golden" / "baselines"


def state_of(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the state dict of a golden file, and all of its tensors."""
    _, tensors, stored = read(GOLDEN / f"{name}.safetensors")
    return stored | part(tensors, "buffer."), tensors


def save(content: Any, path: Path) -> list[str]:
    """Write a file and return the options that import it."""
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return [f"checkpoint={path}", f"output={path.with_name('imported.ckpt')}"]


def check(path: Path, tensors: dict[str, Tensor], weights: str = "ema") -> None:
    """Compare the image of an imported generator with the original's."""
    painter = load_painter(path.with_name("imported.ckpt"), weights)
    image = painter.sampler.generator(tensors["z"].float().flatten(1))
    assert relative(image, tensors["image"]) < 1e-5


@pytest.mark.parametrize(
    ("name", "suffix", "kind"),
    [
        ("stylegan2__orig", "pt", "stylegan2"),
        ("gan__latent_stem", "pt", "gan"),
        ("gansformer__start_end", "safetensors", "gansformer_duplex"),
    ],
)
def test_networks_are_known_from_their_tensors(
    name: str, suffix: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, tensors = state_of(f"generator__{name}")
    path = tmp_path / f"weights.{suffix}"
    run("import-legacy", *save(state, path))
    check(path, tensors)
    check(path, tensors, "raw")
    summary = capsys.readouterr().out
    assert f"{kind}, 16×16 pixels" in summary
    assert "resample_" in summary
    assert "there is no D in the file" in summary
    ckpt = f"ckpt={tmp_path / 'imported.ckpt'}"
    run("generate", ckpt, "num_images=2", f"hydra.run.dir={tmp_path / 'painted'}")
    assert len(list((tmp_path / "painted" / "images").iterdir())) == 2


def test_all_players(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, tensors = state_of("generator__stylegan2__orig")
    judge, _ = state_of("discriminator__stylegan2__skip")
    raw = {name: t + 1 if name.endswith("torgb.bias") else t for name, t in state.items()}
    path = tmp_path / "weights.pt"
    options = save({"G": raw, "G_ema": state, "D": judge}, path)
    run("import-legacy", *options, "iteration=3", "model.generator.truncation=0.5")
    assert "no D in the file" not in capsys.readouterr().out
    painter = load_painter(tmp_path / "imported.ckpt")
    assert painter.config.model.generator.truncation == 0.5
    checkpoint = torch.load(tmp_path / "imported.ckpt", weights_only=True)
    assert checkpoint["iteration"] == 3
    imported = checkpoint["state_dict"]
    bias = state["synthesis.b16.torgb.bias"]
    for prefix, expected in (("generator", bias + 1), ("generator_ema", bias)):
        assert torch.equal(
            imported[f"{prefix}.synthesis_network.blocks.16.to_image.bias"].flatten(), expected
        )
    assert torch.equal(imported["discriminator.to_logit.weight"], judge["b4.out.weight"])
    run("import-legacy", *options, "overwrite=true")
    check(path, tensors)
    run(
        "train", f"ckpt={tmp_path / 'imported.ckpt'}", "num_iterations=1", "data=portraits",
        "data.num_images=4", "batch_size=4", "fid=off", "trainer=cpu",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip


def test_refused(tmp_path: Path) -> None:
    state, _ = state_of("generator__stylegan2__orig")
    path = tmp_path / "weights.pt"

    def message(content: Any, *options: str) -> str:
        text = refused("import-legacy", *save(content, path), *options)
        assert len(text.splitlines()) == 1
        assert not (tmp_path / "imported.ckpt").exists()
        return text

    assert "extra has no place in a network" in message(state | {"extra": torch.zeros(1)})
    assert "nothing for mapping_network.global_mlp.layers.1.bias" in message(
        {name: t for name, t in state.items() if name != "mapping.fc1.bias"}
    )
    assert "synthesis.b4.conv1.weight' is missing" in message(
        {name: t for name, t in state.items() if name != "synthesis.b4.conv1.weight"}
    )
    assert "is no state dict" in message([1, 2])
    assert "is no state dict" in message({"G_ema": {"a": 3}})
    assert "b belongs to none of G_ema, G, D" in message({"G": state, "b": torch.zeros(1)})
    assert "'synthesis.b4' is missing" in message(
        {"D": state_of("discriminator__stylegan2__skip")[0]}
    )
    far = {name.replace("b16.", "b65536."): t for name, t in state.items()}
    assert "layers of 4, 8, 65536 pixels are no network" in message(far)
    large = torch.zeros(1).expand(10**9, 16)
    assert "larger than the file" in message(state | {"mapping.fc0.weight": large})
    assert "these settings ask for" in message(state, "model.generator.mapping.d_w=8")
    assert "Could not find 'model/stylegun'" in message(state, "model=stylegun")
    assert "trunc'" in message(state, "model.generator.trunc=1")
    assert "belongs to args=" in message(state, f"config={path}")
    path.write_bytes(pickle.dumps({"G_ema": 3}))
    text = refused("import-legacy", f"checkpoint={path}", f"output={tmp_path / 'imported.ckpt'}")
    assert "is a pickle, such as StyleGAN2, StyleGAN3 and GANsformer write" in text
    safe = path.with_suffix(".safetensors")
    safe.write_bytes(b"nothing")
    text = refused("import-legacy", f"checkpoint={safe}", f"output={tmp_path / 'imported.ckpt'}")
    assert "not a readable safetensors file" in text
