"""Training, scoring and painting from the command line, on drawn portraits."""

import csv
import json
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image, ImageChops

from fpainter.training.gan_module import GANModule
from fpainter.training.phases import Phase
from tests.cli.conftest import SMALL, refused, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def untimed(row: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in row.items() if not key.endswith("seconds")}


def test_a_run_leaves_what_it_promises(finished_run: Path) -> None:
    for name in (
        "checkpoints/last.ckpt", "checkpoints/best.ckpt", "metrics.csv", "curves.png",
        "config.yaml", "overrides.yaml", "environment.json", "samples/0000004.png",
        "strips/0000004.png", "walks/0000004.png",
    ):  # fmt: skip
        assert (finished_run / name).is_file(), name
    assert [row["iteration"] for row in rows(finished_run)] == ["1", "2", "3", "4"]
    assert [bool(row["fid"]) for row in rows(finished_run)] == [False, True, False, True]
    assert all(float(row["seconds"]) > 0 for row in rows(finished_run))
    config = OmegaConf.load(finished_run / "config.yaml")
    assert config.model.generator.num_steps == 4
    assert config.data.num_images == 12
    assert "debug=fast" in OmegaConf.load(finished_run / "overrides.yaml")
    environment = json.loads((finished_run / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.partition("+")[0]


def test_checkpoints_are_plain_data(finished_run: Path) -> None:
    for name in ("last", "best"):
        path = finished_run / "checkpoints" / f"{name}.ckpt"
        checkpoint = torch.load(path, weights_only=True)
        assert checkpoint["fpainter"]["format"] == 1
    assert checkpoint["global_step"] == checkpoint["iteration"]


def pixels(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((directory / "images").iterdir())]


def test_generate_is_a_function_of_the_seed(finished_run: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    painted = {}
    for name, options in {
        "first": ["num_images=5"],
        "again": ["num_images=5", "batch_size=2"],
        "fewer": ["num_images=3"],
        "other": ["num_images=5", "seed=1"],
        "raw": ["num_images=5", "weights=raw"],
    }.items():
        run("generate", ckpt, *options, f"hydra.run.dir={tmp_path / name}")
        painted[name] = pixels(tmp_path / name)
    assert len(painted["first"]) == 5
    assert painted["again"] == painted["first"]
    assert painted["fewer"] == painted["first"][:3]
    assert painted["other"] != painted["first"]
    assert painted["raw"] != painted["first"]
    with Image.open(tmp_path / "first" / "grid.png") as grid:
        assert grid.size == (3 * 18 + 2, 2 * 18 + 2)
        with Image.open(tmp_path / "first" / "images" / "000000.png") as image:
            assert not ImageChops.difference(grid.crop((2, 2, 18, 18)), image).getbbox()
    with Image.open(tmp_path / "first" / "strips.png") as strips:
        assert strips.width == 4 * 17 + 1  # four steps


ALL_WAYS = [
    "model/loss=relativistic", "model/regulariser=r1_r2", "model.regulariser.every=2",
    "model/augment=adaptive", "model.augment.start=0.5", "model.augment.num_images=200",
    "model/ema=ramp", "model/schedule=cosine", "model.schedules.generator_lr.num_iterations=7",
    "model.schedules.discriminator_lr.num_iterations=7",
    "model.schedules.penalty={_target_: fpainter.training.schedules.Ramp, end: 2, "
    "num_iterations: 7}", "model.accumulate=2", "trainer.precision=bf16-mixed",
]  # fmt: skip


@pytest.mark.parametrize("ways", [[], ALL_WAYS], ids=["default", "all"])
def test_resuming_equals_never_stopping(ways: list[str], tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = [*SMALL, *ways, "data.flip=true", "checkpoint_every=2"]
    run("train", *options, "num_iterations=7", f"hydra.run.dir={whole}")
    run("train", *options, "num_iterations=3", f"hydra.run.dir={parts}")
    run("train", f"ckpt={parts / 'checkpoints' / 'last.ckpt'}", "num_iterations=7")
    states = [
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True) for path in (whole, parts)
    ]
    assert "in the checkpoint" not in (parts / "train.log").read_text()  # no option has changed
    assert [state["iteration"] for state in states] == [7, 7]
    assert [state["global_step"] for state in states] == [7, 7]
    for name, tensor in states[0]["state_dict"].items():
        assert torch.equal(tensor, states[1]["state_dict"][name]), name
    for optimisers in zip(*(state["optimizer_states"] for state in states), strict=True):
        for index, first in optimisers[0]["state"].items():
            for key, value in first.items():
                assert torch.equal(value, optimisers[1]["state"][index][key])
        assert optimisers[0]["param_groups"] == optimisers[1]["param_groups"]
    assert [untimed(row) for row in rows(parts)] == [untimed(row) for row in rows(whole)]
    spent = [float(row["cpu_seconds"]) for row in rows(parts)]
    assert spent[0] > 0
    assert spent == sorted(spent)  # a run that goes on goes on counting


def test_last_is_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPAINTER_LOGS", str(tmp_path))
    assert "no run below" in refused("train", "ckpt=last")
    run("train", *SMALL, "num_iterations=1", "image_size=8")
    (only,) = (tmp_path / "train").iterdir()
    run("train", "ckpt=last", "num_iterations=2")
    assert list((tmp_path / "train").iterdir()) == [only]
    assert [row["iteration"] for row in rows(only)] == ["1", "2"]


def test_resuming_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, here, there = (tmp_path / name for name in ("images", "here", "there"))
    for directory in (images, here, there):
        directory.mkdir()
    for index in range(3):
        Image.new("RGB", (20, 20), (index, 9, 9)).save(images / f"{index}.png")
    monkeypatch.chdir(here)
    run(
        "train", *(option for option in SMALL if "num_images" not in option), "num_iterations=1",
        "data=folder", "data.dir=../images", "hydra.run.dir=run",
    )  # fmt: skip
    monkeypatch.chdir(there)
    run("train", "ckpt=../here/run/checkpoints/last.ckpt", "num_iterations=2")
    assert [row["iteration"] for row in rows(here / "run")] == ["1", "2"]
    assert not list(there.iterdir())


def test_ctrl_c_takes_effect_between_iterations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = GANModule._step

    def interrupted(module: GANModule, phase: Phase, *args: Any, **options: Any) -> None:
        if module.iteration == 2 and phase.player == "generator":
            signal.raise_signal(signal.SIGINT)
        step(module, phase, *args, **options)

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("train", *SMALL, "num_iterations=5", f"hydra.run.dir={whole}")
    with monkeypatch.context() as patch:
        patch.setattr(GANModule, "_step", interrupted)
        with pytest.raises(SystemExit):
            run(
                "train", *SMALL, "num_iterations=5", "checkpoint_every=100",
                f"hydra.run.dir={parts}",
            )  # fmt: skip
    last = parts / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["iteration"] == 3
    run("train", f"ckpt={last}")
    states = [
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (whole, parts)
    ]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.usefixtures("real_network")
def test_training_goes_on_without_inception_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(
        "train", *SMALL, "num_iterations=2", "fid.enabled=true", "fid.every=1",
        f"fid.weights_path={tmp_path / 'none.pt'}", f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert len(rows(tmp_path / "run")) == 2
    assert "fid" not in rows(tmp_path / "run")[0]
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("training goes on without FID") == 1
    assert "none.pt" in log


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_images(channels: int, tmp_path: Path) -> None:
    run(
        "train", *SMALL, "num_iterations=1", f"data.channels={channels}", "image_size=[16,24]",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    ckpt = tmp_path / "run" / "checkpoints" / "last.ckpt"
    run("generate", f"ckpt={ckpt}", "num_images=2", f"hydra.run.dir={tmp_path / 'out'}")
    with Image.open(tmp_path / "out" / "images" / "000001.png") as image:
        assert (image.mode, image.size) == ({1: "L", 4: "RGBA"}[channels], (24, 16))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.generator.num_step=4"], "model.generator.num_steps"),
        (["modle=lstm_delta"], "model"),
        (["num_iteration=4"], "num_iterations"),
        (["model=lstm_delt"], "model=lstm_delt: there is no such option. Nearest: lstm_delta"),
        (["experiment=paper/cat"], "experiment=paper/cat: there is no such option"),
        (["experiment=papers/x"], "experiment=papers/x: there is no such option. Nearest: paper/"),
        (["sweep=none"], "sweep"),
        (["data=folder"], "data.dir=PATH"),
        (["data=celeba", "data.dir=/nowhere"], "/nowhere"),
        (["ckpt=/nowhere/last.ckpt"], "/nowhere/last.ckpt: there is no such file"),
        (["image_size=0"], "image_size must be a whole number"),
        (
            ["experiment=stylegan2/auto", "image_size=[8]"],
            "fpainter: image_size must be a whole number or [height,width], such as 64 or "
            "[64,96]; got [8]",
        ),
        (["image_size=20", "model/discriminator=convolutional"], "divisible by 8"),
        (["batch_size=0"], "batch_size must be"),
        (["checkpoint_every=0"], "checkpoint_every must be at least 1"),
        (["fid.protocol=jpeg"], "allowed: png, paper"),
        (["model.image_range=bytes"], "image_range must be one of"),
        (["trainer.precision=16-mixed"], "trainer.precision=16-mixed: half-precision weights or"),
        (["trainer.precision=bf16-true"], "give bf16-mixed, 32-true or 64-true"),
        (["matmul_precision=low"], "matmul_precision=low: must be one of highest, high, medium"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_a_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    message = refused("train", *arguments, f"hydra.run.dir={tmp_path}")
    assert words in message
    assert len(message.splitlines()) <= 12


@pytest.mark.parametrize("damage", ["torn", "flipped", "gone"])
def test_a_damaged_last_checkpoint_leaves_the_one_before(damage: str, tmp_path: Path) -> None:
    run("train", *SMALL, "num_iterations=3", "image_size=8", f"hydra.run.dir={tmp_path}")
    last = tmp_path / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    with zipfile.ZipFile(last) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content[largest.header_offset + largest.file_size // 2 + 200] ^= 1
    if damage == "gone":
        last.unlink()
    else:
        last.write_bytes(content[: len(content) // 2] if damage == "torn" else content)
    words = run("train", f"ckpt={last}", "num_iterations=4")
    assert "going on from" in words
    assert [row["iteration"] for row in rows(tmp_path)] == ["1", "2", "3", "4"]
    assert torch.load(last, weights_only=True)["iteration"] == 4


def test_bad_checkpoints_give_a_sentence(finished_run: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.ckpt"
    whole = (finished_run / "checkpoints" / "last.ckpt").read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    foreign = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}}, foreign)
    text = tmp_path / "text.ckpt"
    text.write_text("no checkpoint")
    for command in ("eval", "generate", "train"):
        assert "not a readable checkpoint" in refused(command, f"ckpt={torn}")
        assert "not a readable checkpoint" in refused(command, f"ckpt={text}")
        assert "not written by fpainter.train" in refused(command, f"ckpt={foreign}")
        assert "no such file" in refused(command, f"ckpt={tmp_path / 'none'}")
    assert "weights=half" in refused(
        "generate", f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}", "weights=half"
    )


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "fpainter.evaluation.inception.weights.torch.hub.load",
        "fpainter.launch.configs.Path.cwd",
        "fpainter.train.main",
        "torch.nn.modules.module.warnings.warn",
        "fpainter.nothing",
    ],
)
def test_a_checkpoint_cannot_name_foreign_code(
    target: str, finished_run: Path, tmp_path: Path
) -> None:
    checkpoint = torch.load(finished_run / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["fpainter"]["config"]["model"]["generator"]["_target_"] = target
    path = tmp_path / "evil.ckpt"
    torch.save(checkpoint, path)
    assert f"refuses to build '{target}'" in refused("generate", f"ckpt={path}")


@pytest.mark.parametrize(
    ("command", "argument", "words"),
    [
        ("eval", "fid.protocol=jpeg", "allowed: png, paper, clean, torch_fidelity"),
        (
            "eval",
            "fid=png",
            "fid has no options to choose from in this command; set its keys: fid.pr",
        ),
        ("eval", "num_images=1", "num_images must be at least 2; got 1"),
        ("eval", "metrics=[fid,kiD]", "'kiD' is none of fid, kid, neighbours"),
        ("eval", "images=.", "give what is to be scored: either ckpt=PATH"),
        ("eval", "image_size=0", "image_size must be a whole number"),
        ("eval", "num_steps=9", "each of its 4 steps a part of the latent"),
        ("generate", "crop=[0,0,2,1]", "must be [top,left,bottom,right]"),
        ("generate", "image_size=[8]", "image_size must be a whole number"),
        ("eval", "data.dir=/nowhere", "the checkpoint's run had no such setting"),
        ("eval", "device=nowhere", "device=nowhere"),
        ("generate", "num_images=0", "num_images=0: must be at least 1"),
        ("generate", "strips.num_columns=0", "strips.num_columns=0: must be at least 1"),
        ("generate", "strips.normalisation=none", "normalisation must be one of"),
        ("generate", "num_image=3", "num_images"),
        ("train", "seed=-1", "(in seed)"),
    ],
)
def test_other_mistakes_give_a_sentence(
    command: str, argument: str, words: str, finished_run: Path, tmp_path: Path
) -> None:
    ckpt = [] if command == "train" else [f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"]
    assert words in refused(command, *ckpt, argument, f"hydra.run.dir={tmp_path}")


def test_a_run_goes_on_with_the_options_it_is_given(tmp_path: Path) -> None:
    """Rates, betas and groups of parameters are the configuration's; moments are the run's."""
    last = tmp_path / "checkpoints" / "last.ckpt"
    run("train", *SMALL, "num_iterations=2", f"hydra.run.dir={tmp_path}")
    before = torch.load(last, weights_only=True)
    run(
        "train", "ckpt=last", f"hydra.run.dir={tmp_path}", "num_iterations=3",
        "model.generator_optimiser.lr=1e-6", "model.generator_optimiser.betas=[0.5,0.99]",
        "model.generator_optimiser.lr_of={head:0}", "model.discriminator_optimiser.fused=false",
    )  # fmt: skip
    after = torch.load(last, weights_only=True)
    generator, discriminator = (state["param_groups"] for state in after["optimizer_states"])
    assert [group["lr"] for group in generator] == [1e-6, 0]
    assert all(list(group["betas"]) == [0.5, 0.99] for group in generator)
    assert [group["fused"] for group in discriminator] == [False]
    recorded = OmegaConf.load(tmp_path / "config.yaml").model.generator_optimiser
    assert (recorded.lr, recorded.lr_of) == (1e-6, {"head": 0})
    for name, weight in before["state_dict"].items():
        moved = (after["state_dict"][name] - weight).abs().max()
        if name.startswith("generator.head."):
            assert moved == 0
        elif name.startswith("generator."):
            assert 0 < moved < 3e-6, name
    states = [state for each in after["optimizer_states"] for state in each["state"].values()]
    assert all(state["step"] == 3 for state in states)
    log = (tmp_path / "train.log").read_text()
    assert "model.generator_optimiser: lr 0.0002 in the checkpoint, 1e-06 from now on" in log
    assert "lr 0.0002 in the checkpoint, 0 from now on" in log
    assert "model.discriminator_optimiser: fused True in the checkpoint, False from now on" in log


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_precision_of_products(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TF32, which GPUs have, for matrices and for convolutions or for neither."""
    found: list[tuple[str, bool]] = []

    def train(module: GANModule, batch: torch.Tensor, batch_idx: int) -> None:
        found.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        raise KeyboardInterrupt

    monkeypatch.setattr(GANModule, "training_step", train)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    try:
        with pytest.raises(SystemExit):
            run("train", *SMALL, f"matmul_precision={precision}", f"hydra.run.dir={tmp_path}")
    finally:
        torch.set_float32_matmul_precision(before)
    assert found == [(precision, precision != "highest")]
