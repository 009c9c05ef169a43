"""Checkpoints of the original code become ours: every tensor, every state, in its place."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fpainter.checkpoints.inference import load_painter
from fpainter.checkpoints.legacy.arguments import (
    DEFAULTS,
    MODEL_TYPES,
    WITHOUT_MEANING,
    translate,
)
from fpainter.checkpoints.legacy.checkpoint import Original, load_adam
from fpainter.checkpoints.legacy.names import merged, renaming
from fpainter.tasks.import_legacy import compose, import_legacy
from fpainter.training.gan_module import GANModule
from tests.conftest import SHARED_GOLDEN, golden_files
from tests.reference.released import build, read, relative

COMMITTED = Path(__file__).resolve().parents[1] / "golden"
LEGACY = sorted((Path(os.environ.get("FPAINTER_GOLDEN", SHARED_GOLDEN)) / "legacy").glob("*/"))


def adam_of(tensors: dict[str, Tensor], step: float = 7.0) -> dict[str, Any]:
    """Return a state of Adam that shows which weight it belongs to."""
    return {
        "state": {
            index: {"step": step, "exp_avg": 2 * weight, "exp_avg_sq": 3 * weight**2}
            for index, weight in enumerate(tensors.values())
        },
        "param_groups": [{"lr": 2e-4, "params": list(range(len(tensors)))}],
    }


def write_original(directory: Path) -> dict[str, Any]:
    """Write what the original would, from the vectors that come with the tests."""
    meta, _, painter = read(COMMITTED / "generator__lstm_delta.safetensors")
    judge_meta, _, judge = read(COMMITTED / "discriminator__fpa_32_out5.safetensors")
    directory.mkdir(exist_ok=True)
    prefixed = {
        "G.": painter,
        "GE.": {name: tensor / 2 for name, tensor in painter.items()},
        "D.": judge,
        "D_aug.D.": judge,
    }
    checkpoint = {
        "GAN": {pre + n: t for pre, tensors in prefixed.items() for n, t in tensors.items()},
        "version": "0.23.3",
        "G_scaler": {},
        "D_scaler": {},
        "G_opt": adam_of(painter),
        "D_opt": adam_of(judge),
    }
    torch.save(checkpoint, directory / "model_1.pt")
    args = meta["kwargs"] | {
        "model_type": "lstm_delta", "fmap_max": 16, "batch_size": 2, "grad_cummulate_every": 2,
        "clip_rnn": 0.5, "num_train_steps": 9,
    }  # fmt: skip
    (directory / "args.txt").write_text(json.dumps(args))
    config = {key: judge_meta["kwargs"][key] for key in ("attn_res_layers", "disc_output_size")}
    (directory / ".config.json").write_text(json.dumps(config | {"image_size": 32}))
    return checkpoint


def imported(source: Path, output: Path) -> dict[str, Any]:
    import_legacy(
        {
            "checkpoint": str(source / "model_1.pt"),
            "args": str(source / "args.txt"),
            "output": str(output),
        }
    )
    return torch.load(output, weights_only=True)


def check_states(module: GANModule, player: str, original: Original, args: dict) -> None:
    optimiser = module.configure_optimizers()[["generator", "discriminator"].index(player)]
    part = module.get_submodule(player)
    assert load_adam(optimiser, player, part, original, args) == 0
    parameters = [p for p in part.parameters() if p.requires_grad]
    assert len(optimiser.state) == len(parameters) > 0
    for parameter in parameters:
        state = optimiser.state[parameter]
        assert state["step"].item() == 7
        torch.testing.assert_close(state["exp_avg"], 2 * parameter.detach())
        torch.testing.assert_close(state["exp_avg_sq"], 3 * parameter.detach() ** 2)


@pytest.mark.golden
@pytest.mark.parametrize(
    "path",
    [*golden_files("generator"), *golden_files("discriminator")],
    ids=lambda path: path.stem,
)
def test_states_of_adam(path: Path, tmp_path: Path) -> None:
    meta, _, stored = read(path)
    player, model_type = path.stem.split("__")[:2]
    if player == "discriminator":
        model_type = "base" if "base" in path.stem else "lstm_delta"
    module, args = build(model_type, meta["kwargs"], tmp_path, **{player: stored})
    parameters = {n: t for n, t in stored.items() if "running_" not in n and "num_b" not in n}
    check_states(module, player, Original({player: stored}, {player: adam_of(parameters)}), args)


@pytest.mark.golden
@pytest.mark.parametrize("source", LEGACY, ids=lambda path: path.name)
def test_checkpoints_of_the_original(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "imported.ckpt"
    checkpoint = imported(source, output)
    expected = load_file(source / "expected.safetensors")
    for weights, name in (("raw", "image_default"), ("ema", "image_ema")):
        sampler = load_painter(output, weights).sampler
        with torch.no_grad():
            assert relative(sampler.generator(expected["z"]), expected[name]) < 1e-5
    levels = (sampler.generator(expected["z"]).clamp(0, 1) * 255).round()
    torch.testing.assert_close(levels, (expected["samples_ema"] * 255).round(), atol=1, rtol=0)
    assert checkpoint["iteration"] == checkpoint["global_step"] == 2
    stored = torch.load(source / "model_1.pt", weights_only=True)
    judge = stored["GAN"]
    first = "discriminator.downs.0.convolved.1.weight"
    ours = checkpoint["state_dict"]
    assert torch.equal(ours[first], judge["D.residual_layers.0.0.branches.0.1.weight"])
    last = "discriminator.to_logits.3.bias"
    assert torch.equal(ours[last], -judge["D.to_logits.3.bias"])
    for key, optimiser in zip(("G_opt", "D_opt"), checkpoint["optimizer_states"], strict=True):
        theirs = stored[key]["state"].values()
        assert len(optimiser["state"]) == len(theirs)
        for moment in ("exp_avg", "exp_avg_sq"):
            norms = sorted(state[moment].norm().item() for state in theirs)
            found = sorted(state[moment].norm().item() for state in optimiser["state"].values())
            assert found == pytest.approx(norms)


def test_the_file_that_is_written(tmp_path: Path) -> None:
    original = write_original(tmp_path / "original")
    checkpoint = imported(tmp_path / "original", tmp_path / "imported.ckpt")
    assert checkpoint["iteration"] == checkpoint["global_step"] == 7
    loops = checkpoint["loops"]["fit_loop"]
    assert loops["state_dict"]["combined_loader"] == [{"next_batch": 7, "global_batch_size": 4}]
    model = checkpoint["fpainter"]["config"]["model"]
    assert model["clip"] == {"generator.sequence_processor.lstm": 0.5}
    assert model["accumulate"] == 2
    assert model["discriminator"]["logit_size"] == 5
    names = [
        dict(zip(group["params"], group["param_names"], strict=True))
        for optimiser in checkpoint["optimizer_states"]
        for group in optimiser["param_groups"]
    ]
    weights = checkpoint["state_dict"]
    for player, optimiser, named in zip(
        ("generator", "discriminator"), checkpoint["optimizer_states"], names, strict=True
    ):
        for index, state in optimiser["state"].items():
            torch.testing.assert_close(state["exp_avg"], 2 * weights[f"{player}.{named[index]}"])
    logit = original["GAN"]["D.to_logits.2.weight"]
    assert torch.equal(weights["discriminator.to_logits.2.weight"], -logit)
    assert checkpoint["optimizer_states"][1]["state"][0]["exp_avg_sq"].min() >= 0
    assert not list(tmp_path.glob(".*tmp"))


def test_the_discriminator_that_was_trained_is_taken(tmp_path: Path) -> None:
    original = write_original(tmp_path / "original")
    for name, tensor in original["GAN"].items():
        if name.startswith("D."):
            original["GAN"][name] = tensor + 1
    torch.save(original, tmp_path / "original" / "model_1.pt")
    checkpoint = imported(tmp_path / "original", tmp_path / "imported.ckpt")
    name = "D_aug.D.residual_layers.0.0.branches.0.1.weight"
    first = checkpoint["state_dict"]["discriminator.downs.0.convolved.1.weight"]
    assert torch.equal(first, original["GAN"][name])


def test_recurrent_memories_are_joined(tmp_path: Path) -> None:
    kwargs = {"image_size": 16, "latent_dim": 6, "rnn_hidden_size": 8, "num_heads": 2}
    module, args = build("rfwp_delta", kwargs, tmp_path)
    processor = module.generator.sequence_processor
    recurrence = processor.memories[0].recurrence.detach()  # type: ignore[union-attr, index]
    rows = recurrence.transpose(-1, -2)[None].split([4, 4, 4, 1], dim=-2)
    stored = dict(zip(("a.R_q", "a.R_k", "a.R_v", "a.r_b"), rows, strict=True))
    assert list(merged(stored)) == ["a.recurrence"]
    assert torch.equal(merged(stored)["a.recurrence"], recurrence)
    own, rename = module.generator.state_dict(), renaming("generator", "rfwp_delta")
    for name in (
        "latent_to_init.bias", "latent_to_input.weight", "rfwp_layers.0.slow_net.weight",
        "rfwp_layers.0.recurrence", "rfwp_layers.0.layer_norm.bias",
        "rfwp_layers.0.out_linear.weight", "ff_layers.0.ff_layers.3.bias",
        "ff_layers.0.layer_norm.weight", "kvb_net.weight",
    ):  # fmt: skip
        assert rename(name) in own
    assert args["num_heads"] == 2


def test_every_argument_of_the_original_is_known() -> None:
    names = """data_dir result_dir model_dir exp_name new save_all transparent greyscale skip_resize
        transform_to_greyscale latent_dim image_size rnn_hidden_size num_layers num_heads ff_dim
        dropout wide_out_dim unet_tanh use_intermed_loss scale_intermed_loss image_save_format
        mini_latent_dim mini_input_size aug_prob dataset_aug_prob num_decoding_steps out_tanh
        use_learned_init pre_unet_loss stop_grad_unet use_unet_match_loss use_unet_match_loss_only
        use_pos_enc use_softmax no_sigmoid_lr v2_input_sigmoid val_tanh vect_lr use_latent_to_init
        model_type seed optimizer batch_size grad_cummulate_every load_from load_only_g
        load_pre_trained reset_g_optimizer reset_d_optimizer ema_only_unet num_image_tiles
        frozen_base generate eval_fid generate_interpolation aug_test generate_types multi_gpus
        num_workers eval_without_ema rnn_init_fact kvb_init_fact num_train_steps learning_rate
        ttur_mult unet_lr max_unet_dim clip clip_rnn save_every evaluate_every calculate_fid_every
        interpolation_num_steps fmap_max calculate_fid_num_images clear_fid_cache not_fid_all_real
        fid_real_path project_name job_name use_wandb"""
    stored = {"work_dir", "syncbatchnorm", "disc_output_size", "attn_res_layers", "freq_chan_attn"}
    assert not DEFAULTS.keys() & WITHOUT_MEANING
    assert DEFAULTS.keys() | WITHOUT_MEANING == set(names.split()) | stored


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_training_settings(model_type: str, tmp_path: Path) -> None:
    args = DEFAULTS | {
        "model_type": model_type, "clip": 0.5, "clip_rnn": 0.25, "use_intermed_loss": 4,
        "pre_unet_loss": True, "use_unet_match_loss": True, "unet_lr": 1e-5, "ttur_mult": 2.0,
        "aug_prob": 0.25, "calculate_fid_every": "10000", "max_unet_dim": 8,
    }  # fmt: skip
    config = compose(translate(args), tmp_path)
    model = config["model"]
    v1, unet = model_type in ("lstm_delta", "lstm_delta_unet"), model_type.endswith("unet")
    unfinished = model_type in ("lstm_delta", "lstm_delta_split_v2", "lstm_oja_split_v2")
    assert model["clip"] == ({"generator": 0.5} if v1 else None)
    assert model["loss"].get("pooled", False) == (unet or unfinished)
    assert model["discriminator_optimiser"]["lr"] == 4e-4
    rates = {"refiner": 1e-5} if model_type == "lstm_delta_unet" else None
    assert model["generator_optimiser"]["lr_of"] == rates
    assert model["augment"]["probability"] == 0.25
    assert model["image_range"] == "unit"
    assert model["discriminator"]["blur"] == (model_type == "base")
    assert (config["batch_size"], model["accumulate"], config["fid"]["every"]) == (40, 4, 10_000)
    if model_type != "base":
        supervision = model["generator"]["supervision"]
        assert supervision["num_canvases"] == (4 if unfinished else 1)
        assert supervision["before_refiner"] == unet
        assert supervision["match_refined"] == float(unet)
    if unet:
        assert model["generator"]["refiner"]["multipliers"] == [1, 2, 4, 8]
        assert model["generator"]["refiner"]["input_activation"] == "identity"
