"""Every model goes the whole way: two iterations, resumed, painted, its strips drawn."""

from pathlib import Path

import pytest
import torch

from fpainter.launch.configs import CONFIG_DIR
from tests.cli.conftest import run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]

MODELS = sorted(path.stem for path in (CONFIG_DIR / "model").glob("[!_]*.yaml"))


@pytest.mark.parametrize("model", MODELS)
def test_trains_resumes_and_paints(model: str, tmp_path: Path) -> None:
    small = ["model.generator.d_latent=8"]
    if model != "base":
        small += ["model.generator.num_steps=4", "model.generator.d_hidden=16"]
    run(
        "train", "debug=fast", f"model={model}", *small, "model/discriminator=convolutional"
        if model != "base" else "model.discriminator.c_max=8", "data.num_images=8",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    run("train", f"ckpt={last}", "num_iterations=3")
    assert torch.load(last, weights_only=True)["iteration"] == 3
    run("generate", f"ckpt={last}", "num_images=2", f"hydra.run.dir={tmp_path / 'out'}")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    assert (tmp_path / "out" / "strips.png").is_file() == (model != "base")
