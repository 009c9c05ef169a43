"""Every model goes the whole way: two iterations, resumed, painted, its strips drawn."""

from pathlib import Path

import pytest
import torch

from fpainter.launch.configs import CONFIG_DIR
from tests.cli.conftest import run
from tests.test_configs import BASELINES, TINY_LATENTS

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]

MODELS = sorted(path.stem for path in (CONFIG_DIR / "model").glob("[!_]*.yaml"))


@pytest.mark.parametrize("model", MODELS)
def test_trains_resumes_and_paints(model: str, tmp_path: Path) -> None:
    d_latent = 6 if model in BASELINES else 8
    small = [f"model.generator.d_latent={d_latent}", *TINY_LATENTS.get(model.split("_")[0], [])]
    if model == "base":
        small += ["model.generator.c_max=16", "model.discriminator.c_max=8", "batch_size=2"]
    elif model in BASELINES:
        small += ["model.generator.synthesis.channel_max=8", "model.discriminator.channel_max=8"]
    else:
        small += ["model.generator.num_steps=4", "model.generator.d_hidden=16"]
        small += ["model/discriminator=convolutional"]
    run(
        "train", "debug=fast", f"model={model}", *small, "data.num_images=8",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    run("train", f"ckpt={last}", "num_iterations=3")
    assert torch.load(last, weights_only=True)["iteration"] == 3
    run("generate", f"ckpt={last}", "num_images=2", f"hydra.run.dir={tmp_path / 'out'}")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    assert (tmp_path / "out" / "strips.png").is_file() == (model not in BASELINES)
