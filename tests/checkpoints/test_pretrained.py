"""Exported painters paint as their checkpoints do; bad folders are refused in a sentence."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import pytest
import torch
from safetensors.torch import load_file, save_file

from fpainter.checkpoints.inference import exported_overrides, load_painter
from fpainter.errors import UserError
from fpainter.generators import pretrained
from fpainter.generators.base import Generator
from fpainter.generators.lightgan import LightGANGenerator
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.pretrained import load_pretrained, push_to_hub, save_pretrained
from fpainter.tasks.import_legacy import compose

TINY = ["image_size=16", "model.generator.d_latent=6"]
PAINTER = [*TINY, "model.generator.num_steps=3", "model.generator.d_hidden=8"]
UNET = [*PAINTER, "model=lstm_delta_split_unet", "model.generator.refiner.multipliers=[1,2]"]
LEARNED = [*PAINTER, "model/canvas=learned", "image_size=[16,24]", "data.channels=4"]
BASE = [*TINY, "model=base", "model.generator.c_max=16"]


def write_checkpoint(path: Path, overrides: list[str]) -> Path:
    """Write what `load_painter` reads: weights and buffers that no constructor would give."""
    config = compose(overrides, path.parent)
    generator = hydra.utils.instantiate(config["model"]["generator"])
    state = {
        prefix + name: tensor + torch.rand_like(tensor) / 10
        if tensor.is_floating_point()
        else tensor + 3
        for prefix in ("generator.", "generator_ema.")
        for name, tensor in generator.state_dict().items()
    }
    record = {"format": 1, "version": "0", "config": config, "overrides": overrides}
    torch.save({"fpainter": record, "state_dict": state, "iteration": 7}, path)
    return path


def exported(tmp_path: Path, overrides: list[str] = PAINTER, weights: str = "ema") -> Path:
    """Write a checkpoint and export it."""
    checkpoint = write_checkpoint(tmp_path / "run.ckpt", overrides)
    save_pretrained(tmp_path / "painter", load_painter(checkpoint, weights))
    return tmp_path / "painter"


@pytest.mark.parametrize("weights", ["ema", "raw"])
@pytest.mark.parametrize("overrides", [UNET, LEARNED, BASE], ids=["unet", "learned", "base"])
def test_round_trip_without_pickle(
    overrides: list[str], weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = write_checkpoint(tmp_path / "run.ckpt", overrides)
    painters = {name: load_painter(checkpoint, name) for name in ("ema", "raw")}
    save_pretrained(tmp_path / "painter", painters[weights])
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch.load was called"))
    z = torch.randn(3, 6)
    images = {name: painter.sampler.generator(z) for name, painter in painters.items()}
    assert not torch.equal(images["ema"], images["raw"])
    for loaded in (
        load_pretrained(tmp_path / "painter"),
        load_painter(tmp_path / "painter", weights),
    ):
        assert torch.equal(loaded.sampler.generator(z), images[weights])
        assert torch.equal(loaded.sampler(z), painters[weights].sampler(z))
        assert (loaded.iteration, loaded.weights) == (7, weights)
        assert not any(p.requires_grad for p in loaded.sampler.generator.parameters())
    kind = LightGANGenerator if overrides is BASE else FastWeightPainter
    alone = kind.from_pretrained(tmp_path / "painter")
    assert not alone.training
    assert torch.equal(alone(z), images[weights])


def test_every_tensor_is_exported(tmp_path: Path) -> None:
    folder = exported(tmp_path, BASE)
    stored = load_file(folder / "model.safetensors")
    state = load_painter(tmp_path / "run.ckpt").sampler.generator.state_dict()
    assert any("num_batches_tracked" in name for name in stored)
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in state.items())


def test_image_range_is_kept(tmp_path: Path) -> None:
    folder = exported(tmp_path, [*PAINTER, "model.image_range=unit"])
    assert load_pretrained(folder).sampler.image_range.name == "unit"


def test_nothing_tells_of_the_computer(tmp_path: Path) -> None:
    local = [f"data.dir={tmp_path}", f"data.cache_dir={tmp_path}", f"fid.weights_path={tmp_path}"]
    folder = exported(tmp_path, [*PAINTER, "data=folder", *local])
    for name in ("config.json", "README.md"):
        assert str(tmp_path) not in (folder / name).read_text()
    assert load_pretrained(folder).config.data.dir is None


@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_the_card_says_how_to_paint(weights: str, tmp_path: Path) -> None:
    text = (exported(tmp_path, LEARNED, weights) / "README.md").read_text()
    option = " weights=raw" if weights == "raw" else ""
    assert f"fpainter.generate ckpt=FOLDER num_images=64{option} " in text
    assert "16×24 pixels, 4 channels" in text
    assert "FID: unknown" in text
    code = text.split("```python\n")[1].split("```")[0].replace("FOLDER", f"{tmp_path}/painter")
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["images"].shape == (4, 4, 16, 24)


def change_tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors")

    return spoil


def change_config(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        description = json.loads((folder / "config.json").read_text())
        change(description)
        (folder / "config.json").write_text(json.dumps(description))

    return spoil


def set_generator(**values: Any) -> Callable[[Path], None]:
    return change_config(lambda d: d["config"]["model"]["generator"].update(values))


def cut(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return spoil


BIAS = "head.to_instructions.bias"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut("model.safetensors"), "model.safetensors: not a readable safetensors file"),
        (cut("config.json"), "config.json: not a readable JSON file"),
        (lambda f: (f / "model.safetensors").unlink(), "not a readable safetensors file"),
        (lambda f: (f / "config.json").unlink(), "fpainter.export: it has no config.json"),
        (lambda f: (f / "config.json").write_text('{"model_type": "bert"}'), "not written by"),
        (lambda f: (f / "config.json").write_text("[]"), "not written by fpainter.export"),
        (change_config(lambda d: d.update(format=2)), "of format 2 (fpainter 0.1.0), newer"),
        (change_tensors(lambda s: s.pop(BIAS)), f"{BIAS} is missing; the config asks for (99,)"),
        (
            change_tensors(lambda s: s.update(more=torch.ones(2))),
            "more is (2,); the config asks for no such tensor",
        ),
        (
            change_tensors(lambda s: s.update({BIAS: torch.ones(98)})),
            f"{BIAS} is (98,); the config asks for (99,)",
        ),
        (set_generator(num_strokes=3), "cannot build fpainter.generators.painter.FastWeight"),
        (set_generator(d_hidden=9), "sequence_processor.d_hidden is 8, but the painter needs 9"),
        (set_generator(_target_="torch.nn.Identity"), "holds a Identity, no Generator"),
    ],
)
def test_bad_folders_give_a_sentence(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    folder = exported(tmp_path)
    spoil(folder)
    with pytest.raises(UserError) as refused:
        load_painter(folder)
    assert words in str(refused.value)
    assert str(folder) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "this.Zen",
        "fpainter.generators.pretrained.importlib.import_module",
        "fpainter.generators.pretrained.Path",
        "fpainter.generators.pretrained.load_file",
        "fpainter.launch.devices.pick_device",
        "torch.nn.modules.module.warnings.warn",
        "torch.nn.init.normal_",
        "fpainter.generators.nothing.Painter",
        "fpainter.generators..Painter",
    ],
)
def test_a_folder_cannot_name_foreign_code(target: str, tmp_path: Path) -> None:
    folder = exported(tmp_path)
    set_generator(head={"_target_": target})(folder)
    with pytest.raises(UserError, match=f"refuses to build '{target}'"):
        load_pretrained(folder)
    assert "this" not in sys.modules  # nor imported, which would run it


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        Generator.from_pretrained(tmp_path / "none")
    with pytest.raises(UserError, match="holds a FastWeightPainter, no LightGANGenerator"):
        LightGANGenerator.from_pretrained(exported(tmp_path))
    with pytest.raises(UserError, match="holds only the weights=ema"):
        load_painter(tmp_path / "painter", "raw")


def test_the_same_painter_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    before = [path.read_bytes() for path in sorted(folder.iterdir())]
    for _ in range(8):  # an order that is random would be the same now and then
        save_pretrained(folder, load_painter(tmp_path / "run.ckpt"), overwrite=True)
        assert [path.read_bytes() for path in sorted(folder.iterdir())] == before


def test_only_an_exported_painter_is_replaced(tmp_path: Path) -> None:
    folder = exported(tmp_path, PAINTER, "ema")
    painter = load_painter(tmp_path / "run.ckpt", "raw")
    with pytest.raises(UserError, match="exists; overwrite=true replaces it"):
        save_pretrained(folder, painter)
    assert load_pretrained(folder).weights == "ema"
    save_pretrained(folder, painter, overwrite=True)
    assert load_pretrained(folder).weights == "raw"
    (folder / "diary.txt").write_text("mine")
    for path in (folder, tmp_path / "run.ckpt", tmp_path):
        with pytest.raises(UserError, match="is not an exported painter alone"):
            save_pretrained(path, painter, overwrite=True)
    assert (folder / "diary.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"run.ckpt", "painter"}


def test_a_failed_write_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exported(tmp_path)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(pretrained, "_card", fail)
    with pytest.raises(UserError, match="the disk is full"):
        save_pretrained(folder, load_painter(tmp_path / "run.ckpt", "raw"), overwrite=True)
    assert load_pretrained(folder).weights == "ema"
    assert {path.name for path in tmp_path.iterdir()} == {"run.ckpt", "painter"}


def test_a_failed_swap_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old folder has made room for the new one, which then cannot take its place."""
    folder = exported(tmp_path)

    def refusing(rename: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def move(old: Path, new: Path) -> None:
            if Path(new) == folder and not str(old).endswith(".old"):
                raise OSError("the disk has gone")
            rename(old, new)

        return move

    monkeypatch.setattr(os, "rename", refusing(os.rename))
    monkeypatch.setattr(os, "replace", refusing(os.replace))
    with pytest.raises(UserError, match="the disk has gone"):
        save_pretrained(folder, load_painter(tmp_path / "run.ckpt", "raw"), overwrite=True)
    assert load_pretrained(folder).weights == "ema"
    assert {path.name for path in tmp_path.iterdir()} == {"run.ckpt", "painter"}


def test_from_and_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exported(tmp_path)
    calls: list[tuple[str, Any]] = []
    fetched = ("me/painter", ["config.json", "model.safetensors"])

    def download(name: str, allow_patterns: list[str]) -> str:
        if name != "me/painter":
            raise OSError("404\nRequest ID: 1")
        calls.append((name, sorted(allow_patterns)))
        return str(folder)

    def upload(repo_id: str, folder_path: str, allow_patterns: list[str]) -> None:
        calls.append((repo_id, (folder_path, sorted(allow_patterns))))

    def create(name: str, exist_ok: bool) -> None:
        if name == "you/painter":
            raise OSError("403\nRequest ID: 2")
        calls.append((name, exist_ok))

    hub = SimpleNamespace(snapshot_download=download, create_repo=create, upload_folder=upload)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    z = torch.randn(2, 6)
    images = load_pretrained(folder).sampler.generator(z)
    assert torch.equal(FastWeightPainter.from_pretrained("me/painter")(z), images)
    assert torch.equal(load_painter("me/painter").sampler.generator(z), images)
    push_to_hub(folder, "me/painter")
    assert calls == [
        fetched,
        fetched,
        ("me/painter", True),
        ("me/painter", (str(folder), ["README.md", "config.json", "model.safetensors"])),
    ]
    with pytest.raises(UserError, match=r"me/none: no such folder, nor on the hub \(404\)$"):
        load_pretrained("me/none")
    with pytest.raises(UserError, match=r"push=you/painter.*403"):
        push_to_hub(folder, "you/painter")
    monkeypatch.chdir(tmp_path)
    for path in ("a/b/none", "../none", "none", "painter/config.json"):
        with pytest.raises(UserError, match="there is no such folder"):
            load_pretrained(path)
    with pytest.raises(UserError, match="there is no such file"):  # rather than asking the hub
        load_painter("runs/last.ckpt")


def test_without_the_hub_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"me/none: .*pip install 'fpainter\[hub\]'"):
        load_pretrained("me/none")
    with pytest.raises(UserError, match=r"pip install 'fpainter\[hub\]'"):
        push_to_hub(tmp_path, "me/none")


def test_a_config_that_was_cut_by_hand_gives_a_sentence(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    change_config(lambda d: d["config"].pop("data"))(folder)
    with pytest.raises(UserError, match=r"record of the run is damaged \(KeyError\('data'\)\)"):
        exported_overrides(folder)
