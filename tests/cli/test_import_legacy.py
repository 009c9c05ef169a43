"""Importing a checkpoint of the original code from the command line, and what goes wrong."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.checkpoints.inference import load_painter
from tests.checkpoints.test_legacy import COMMITTED, write_original
from tests.cli.conftest import refused, run
from tests.reference.released import read, relative

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]
Import = Callable[..., str]


@pytest.fixture
def original(tmp_path: Path) -> Path:
    write_original(tmp_path / "original")
    return tmp_path / "original"


@pytest.fixture
def options(original: Path, tmp_path: Path) -> list[str]:
    return [
        f"checkpoint={original / 'model_1.pt'}",
        f"args={original / 'args.txt'}",
        f"output={tmp_path / 'imported.ckpt'}",
    ]


def change_args(original: Path, **changes: Any) -> None:
    path = original / "args.txt"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_goes_all_the_way(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import-legacy", *options)
    summary = capsys.readouterr().out
    assert "iteration 7 (the steps of G_opt)" in summary
    assert "give eval and train data.dir=PATH" in summary
    ckpt = f"ckpt={tmp_path / 'imported.ckpt'}"
    _, tensors, _ = read(COMMITTED / "generator__lstm_delta.safetensors")
    painter = load_painter(tmp_path / "imported.ckpt", "raw")
    assert relative(painter.sampler.generator(tensors["z"].float()), tensors["image"]) < 1e-5
    run("generate", ckpt, "num_images=2", f"hydra.run.dir={tmp_path / 'painted'}")
    assert len(list((tmp_path / "painted" / "images").iterdir())) == 2
    portraits = ["data=portraits", "data.num_images=8", "fid=off", "trainer=cpu"]
    run("train", ckpt, *portraits, f"hydra.run.dir={tmp_path / 'run'}")
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["iteration"] == last["global_step"] == 9  # num_train_steps
    assert {state["step"].item() for state in last["optimizer_states"][1]["state"].values()} == {9}
    position = last["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert position == [{"next_batch": 9, "global_batch_size": 4}]
    assert "no images to train on" in refused("train", ckpt, f"hydra.run.dir={tmp_path / 'no'}")


def test_warm_start(options: list[str], tmp_path: Path) -> None:
    run("import-legacy", *options)
    run(
        "train", f"warm_start.ckpt={tmp_path / 'imported.ckpt'}", "num_iterations=1",
        "data=portraits", "data.num_images=8", "fid=off", "trainer=cpu",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["iteration"] == 1


def test_options(options: list[str], original: Path, tmp_path: Path) -> None:
    images = tmp_path / "it's images"
    images.mkdir()
    run("import-legacy", *options, "iteration=20", f"data_dir={images}")
    assert "overwrite=true" in refused("import-legacy", *options)
    change_args(original, fmap_max=512, aug_prob=0.25, ema_only_unet=True, colour="red")
    message = refused("import-legacy", *options, "overwrite=true")
    assert "D.decoder1.layers.0.1.bias is 16 in the file, " in message
    assert "args.txt's fmap_max=512 asks for 512" in message
    checkpoint = torch.load(tmp_path / "imported.ckpt", weights_only=True)  # still the first
    assert checkpoint["iteration"] == checkpoint["global_step"] == 20
    assert checkpoint["fpainter"]["config"]["data"]["dir"] == str(images)


def test_remarks(options: list[str], original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_args(original, aug_prob=0.25, image_size=64, colour="red", data_dir="nowhere/at/all")
    run("import-legacy", *options)
    summary = capsys.readouterr().out
    assert "image_size=64 of args.txt is 32 in .config.json, which counts" in summary
    assert "aug_prob=0.25: each image" in summary
    assert "colour is no argument of the original" in summary
    assert "data_dir=nowhere/at/all does not exist here" in summary


def test_restarts_reset_the_channels(options: list[str], original: Path) -> None:
    file = original / "model_1.pt"
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["GAN"]["D.decoder1.layers.0.1.weight"] = torch.zeros(512, 512, 3, 3)
    checkpoint["GAN"] = {n: t for n, t in checkpoint["GAN"].items() if "D_aug" not in n}
    torch.save(checkpoint, file)
    message = refused("import-legacy", *options)  # the other tensors are not so large
    assert "fmap_max=512 asks for" in message


def test_not_a_checkpoint(options: list[str], original: Path, tmp_path: Path) -> None:
    file = original / "model_1.pt"
    file.unlink()
    assert "there is no such file" in refused("import-legacy", *options)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "not a readable checkpoint" in refused("import-legacy", *options)
    file.write_bytes(b"no checkpoint at all")
    assert "not a readable checkpoint" in refused("import-legacy", *options)
    contents: list[Any] = [{"G_opt": {}}, [1, 2], {"GAN": {"G.a": 3}}]
    for content in contents:
        torch.save(content, file)
        assert "the original code did not write it" in refused("import-legacy", *options)
    torch.save({"GAN": {"G.a": torch.zeros(1)}}, file)
    assert "has no generator_ema" in refused("import-legacy", *options)
    assert not (tmp_path / "imported.ckpt").exists()


class Trap:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_code_in_a_file_is_not_run(options: list[str], original: Path, tmp_path: Path) -> None:
    torch.save({"GAN": {}, "trap": Trap(tmp_path / "sprung")}, original / "model_1.pt")
    assert "not a readable checkpoint" in refused("import-legacy", *options)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rnn_hidden_size": 32}, "G.decoder_rnn.bias_hh_l0 is 96 in the file, "
         "args.txt's rnn_hidden_size=32 asks for 128"),
        ({"latent_dim": 16}, "args.txt's latent_dim=16 asks for 96×16"),
        ({"num_layers": 2}, "G.latent_to_init.bias is 48 in the file, "
         "args.txt's rnn_hidden_size=24 or num_layers=2 asks for 96"),
        ({"use_learned_init": True}, "the file has nothing for generator.canvas.canvas, which "
         "args.txt's use_learned_init=True asks for"),
        ({"wide_out_dim": 8}, "G.kvb_net.weight is 195×24 in the file, "
         "args.txt's rnn_hidden_size=24 or wide_out_dim=8 asks for 195×8"),
        ({"model_type": "lstm_delta_split_v2", "mini_input_size": 32},
         "G.latent_to_init.bias is in the file, but "
         "args.txt's use_latent_to_init=False leaves no place for it"),
        ({"model_type": "lstm_gamma"}, "model_type=lstm_gamma: must be one of lstm_"),
        ({"rnn_hidden_size": "24"}, "rnn_hidden_size must be like 512; got '24'"),
        ({"optimizer": "sgd"}, "optimizer=sgd: must be adam"),
        ({"num_decoding_steps": 0}, "args"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(
    changes: dict[str, Any], message: str, options: list[str], original: Path
) -> None:
    change_args(original, **changes)
    assert message in refused("import-legacy", *options)


def test_optimiser_that_does_not_fit(options: list[str], original: Path) -> None:
    file = original / "model_1.pt"
    checkpoint = torch.load(file, weights_only=True)
    states = checkpoint["G_opt"]["state"]
    states[0]["exp_avg"], states[2]["exp_avg"] = states[2]["exp_avg"], states[0]["exp_avg"]
    torch.save(checkpoint, file)
    message = refused("import-legacy", *options)
    assert "G_opt: parameter 0, G.decoder_rnn.bias_hh_l0, is 96, but" in message
    checkpoint["G_opt"]["param_groups"][0]["params"].pop()
    torch.save(checkpoint, file)
    assert "G_opt lists 7 parameters, but there are 8" in refused("import-legacy", *options)


def test_command_line(options: list[str], original: Path) -> None:
    assert "args= is missing" in refused("import-legacy", options[0], options[2])
    assert "colour=red: must be one of these keys" in refused("import-legacy", "colour=red")
    assert "iteration=-3" in refused("import-legacy", *options, "iteration=-3")
    assert "no such folder" in refused("import-legacy", *options, "data_dir=nowhere")
    (original / "args.txt").write_text("{")
    assert "not a readable JSON file" in refused("import-legacy", *options)
    with pytest.raises(SystemExit) as stopped:
        run("import-legacy", "--help")
    assert stopped.value.code in (0, "")
