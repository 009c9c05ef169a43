"""The original code's command-line arguments: from its files, and as overrides of our configs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fpainter.checkpoints.record import in_hydras_grammar
from fpainter.errors import UserError

UNET = ("lstm_delta_unet", "lstm_delta_split_unet", "lstm_delta_split_v2_unet")
V2 = ("lstm_delta_split_v2", "lstm_oja_split_v2", "lstm_delta_split_v2_unet")
SPLIT_LSTM = (*V2, "lstm_delta_split", "lstm_delta_split_unet")
HEADS = ("trafo_delta_split", "rfwp_delta")
CANVASES = ("lstm_delta", "lstm_delta_split_v2", "lstm_oja_split_v2")  # with unfinished ones judged
LSTM_DELTA = (*SPLIT_LSTM, "lstm_delta", "lstm_delta_unet")
PAINTERS = (*LSTM_DELTA, *HEADS, "lstm_sum")
MODEL_TYPES = (*PAINTERS, "base")
INSTRUCTED = (*CANVASES, "lstm_delta_split_v2_unet")  # with all options of keys, values and rates
CORRECTED = (*LSTM_DELTA, *HEADS)

_G, _P = "model.generator.", "model.generator.sequence_processor."
_I, _H, _U = _G + "input_generator.", _G + "head.", _G + "refiner."


def _choice(off: Any, on: Any) -> Callable[[Any], Any]:
    return lambda chosen: on if chosen else off


_TANH = _choice("identity", "tanh")

# (argument, default of the original, our key, the types it means anything to, its value in ours).
ARGUMENTS: list[tuple[str, Any, str, tuple[str, ...], Callable[[Any], Any] | None]] = [
    ("model_type", "base", "model", MODEL_TYPES, None),
    ("image_size", 64, "image_size", MODEL_TYPES, None),
    ("num_train_steps", 150_000, "num_iterations", MODEL_TYPES, None),
    ("save_every", 1000, "checkpoint_every", MODEL_TYPES, None),
    ("seed", 1, "seed", MODEL_TYPES, None),
    ("grad_cummulate_every", 4, "model.accumulate", MODEL_TYPES, None),
    ("learning_rate", 2e-4, "model.generator_optimiser.lr", MODEL_TYPES, None),
    ("dataset_aug_prob", 0.0, "data.flip", MODEL_TYPES, bool),
    ("image_save_format", "jpg", "fid", MODEL_TYPES, lambda f: "paper" if f == "jpg" else f),
    ("calculate_fid_num_images", 10_000, "fid.num_images", MODEL_TYPES, None),
    ("calculate_fid_every", None, "fid.every", MODEL_TYPES, lambda every: int(every or 0)),
    ("fmap_max", 512, "model.discriminator.c_max", MODEL_TYPES, None),
    ("disc_output_size", 1, "model.discriminator.logit_size", MODEL_TYPES, None),
    ("attn_res_layers", [32], "model.discriminator.attention_at", MODEL_TYPES, None),
    ("freq_chan_attn", False, _G + "channel_attention", ("base",),
     _choice("global_context", "frequency")),
    ("latent_dim", 256, _G + "d_latent", MODEL_TYPES, None),
    ("num_decoding_steps", 64, _G + "num_steps", PAINTERS, None),
    ("rnn_hidden_size", 512, _G + "d_hidden", PAINTERS, None),
    ("out_tanh", False, _G + "output_activation", PAINTERS, _TANH),
    ("use_pos_enc", False, _I + "step_embedding", PAINTERS, None),
    ("mini_latent_dim", 8, _I + "d_slice", (*SPLIT_LSTM, "trafo_delta_split"), None),
    ("mini_input_size", 128, _I + "d_input", SPLIT_LSTM, None),
    ("v2_input_sigmoid", False, _I + "slice_activation", V2, _TANH),
    ("num_layers", 1, _P + "num_layers", PAINTERS, None),
    ("rnn_init_fact", 1.0, _P + "gain", LSTM_DELTA, None),
    ("num_heads", 8, _P + "num_heads", HEADS, None),
    ("ff_dim", 1024, _P + "d_feedforward", HEADS, None),
    ("dropout", 0.0, _P + "dropout", HEADS, None),
    ("use_latent_to_init", False, "model/sequence_processor",
     ("lstm_delta_split_v2", "lstm_delta_split_v2_unet"), _choice("lstm_zero_state", "lstm")),
    ("use_softmax", False, _H + "key_activation", CORRECTED, _choice("identity", "softmax")),
    ("no_sigmoid_lr", False, _H + "rate_activation", CORRECTED, _choice("sigmoid", "identity")),
    ("kvb_init_fact", 1.0, _H + "gain", LSTM_DELTA, None),
    ("val_tanh", False, _H + "value_activation", INSTRUCTED, _TANH),
    ("vect_lr", False, _H + "rate", INSTRUCTED, _choice("scalar", "row")),
    ("wide_out_dim", 0, _H + "d_wide", CANVASES, lambda size: size or None),
    ("use_learned_init", False, "model/canvas", ("lstm_delta", "lstm_delta_unet", "rfwp_delta"),
     _choice("zero", "learned")),
    ("use_intermed_loss", 1, _G + "supervision.num_canvases", CANVASES, None),
    ("scale_intermed_loss", False, _G + "supervision.scale_canvases", CANVASES, None),
    ("unet_lr", 2e-4, "model.generator_optimiser.lr_of", ("lstm_delta_unet",),
     lambda rate: {"refiner": rate}),
    ("max_unet_dim", 4, _U + "multipliers", UNET,
     lambda largest: [2**power for power in range(largest.bit_length())]),
    ("unet_tanh", False, _U + "input_activation",
     ("lstm_delta_unet", "lstm_delta_split_v2_unet"), _TANH),
    ("stop_grad_unet", False, _U + "detach_input", UNET, None),
    ("frozen_base", False, _G + "freeze_painter", UNET, None),
    ("use_unet_match_loss", False, _G + "supervision.match_refined", UNET, float),
]  # fmt: skip

DEFAULTS = {argument: default for argument, default, *_ in ARGUMENTS} | {
    "batch_size": 10, "ttur_mult": 1.0, "optimizer": "adam", "transparent": False,
    "greyscale": False, "transform_to_greyscale": False, "aug_prob": 0.0, "clip": 0.0,
    "clip_rnn": 0.0, "pre_unet_loss": False, "use_unet_match_loss_only": False,
    "ema_only_unet": False, "data_dir": "data/celeba/img_align_celeba",
}  # fmt: skip
REMARKS = {
    "ema_only_unet": "the average covers the painter, too",
    "dataset_aug_prob": "images are mirrored with probability 1/2 and not cropped at random",
    "aug_prob": "each image is augmented with this probability, and not each batch as a whole",
    "skip_resize": "images are resized to image_size",
    "multi_gpus": "several GPUs are used with trainer=ddp",
}  # on arguments that are not carried as they were
WITHOUT_MEANING = {
    "result_dir", "model_dir", "work_dir", "exp_name", "new", "save_all", "load_from",
    "load_only_g", "load_pre_trained", "reset_g_optimizer", "reset_d_optimizer", "generate",
    "generate_types", "generate_interpolation", "aug_test", "eval_fid", "eval_without_ema",
    "evaluate_every", "num_image_tiles", "num_workers", "interpolation_num_steps",
    "clear_fid_cache", "not_fid_all_real", "fid_real_path", "project_name", "job_name",
    "use_wandb", "skip_resize", "multi_gpus", "syncbatchnorm",
}  # fmt: skip


def read_arguments(path: Path, config: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Read the original's arguments.

    Args:
        path: its ``args.txt``.
        config: its ``config.json``, which counts where they differ; None without one.

    Returns:
        All of them, by name, and remarks on those that are not carried as they were.

    Raises:
        UserError: if a file cannot be read, or a value cannot be used.
    """
    given = _read_json(path, "args")
    stored = _read_json(config, "config") if config else {}
    remarks = [
        f"{name}={given[name]} of {path.name} is {stored[name]} in {config.name}, which counts"
        for name in stored.keys() & given.keys()
        if config and stored[name] != given[name]
    ]
    args = DEFAULTS | given | stored
    if args["model_type"] not in MODEL_TYPES:
        types = ", ".join(MODEL_TYPES)
        raise UserError(f"args={path}: model_type={args['model_type']}: must be one of {types}")
    for name, default in DEFAULTS.items():
        allowed = (int, float) if isinstance(default, float) else type(default)
        if default is not None and not isinstance(args[name], allowed):
            raise UserError(f"args={path}: {name} must be like {default!r}; got {args[name]!r}")
    if args["optimizer"] != "adam":
        raise UserError(f"args={path}: optimizer={args['optimizer']}: must be adam")
    harmless = {"ema_only_unet"} if args["frozen_base"] else set()  # the painter stays the same
    for name in args.keys() - harmless:
        if name in REMARKS and args[name]:
            remarks.append(f"{name}={args[name]}: {REMARKS[name]}")
        elif name not in DEFAULTS and name not in WITHOUT_MEANING:
            remarks.append(f"{name} is no argument of the original and was ignored")
    if "data_dir" not in given:
        args["data_dir"] = None  # rather than a default that nobody chose
    return args, sorted(remarks)


def _read_json(path: Path, key: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{key}={path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{key}={path}: must hold names and values")
    return content


# How names begin (ours), the arguments that decide whether such a tensor exists, and those that
# decide the sizes of its first axis and of the others.
BLAMED: list[tuple[str, list[str], list[str], list[str]]] = [
    ("sequence_processor.to_state.", ["use_latent_to_init"], ["rnn_hidden_size", "num_layers"],
     ["latent_dim"]),
    ("sequence_processor.lstm.weight_ih_l0", [], ["rnn_hidden_size"],
     ["mini_input_size", "latent_dim"]),
    ("sequence_processor.", ["num_layers"], ["rnn_hidden_size", "ff_dim"],
     ["rnn_hidden_size", "ff_dim"]),
    ("head.widen.", ["wide_out_dim"], ["wide_out_dim"], ["rnn_hidden_size"]),
    ("head.to_instructions.", [], ["image_size", "vect_lr"], ["rnn_hidden_size", "wide_out_dim"]),
    ("input_generator.step_embedding", ["use_pos_enc"], ["num_decoding_steps"], ["latent_dim"]),
    ("input_generator.to_slices.", [], ["num_decoding_steps", "mini_latent_dim"], ["latent_dim"]),
    ("input_generator.to_input.", [], ["mini_input_size"], ["mini_latent_dim"]),
    ("canvas.", ["use_learned_init"], ["transparent", "greyscale"], ["image_size"]),
    ("refiner.", ["max_unet_dim"], ["image_size"], ["image_size"]),
    ("initial.", [], ["latent_dim"], ["latent_dim"]),
    ("to_logits.", ["disc_output_size"], ["fmap_max"], ["fmap_max"]),
    ("attentions.", ["attn_res_layers"], ["fmap_max"], ["fmap_max"]),
    ("", ["image_size"], ["fmap_max"], ["fmap_max"]),
]  # fmt: skip


def blame(ours: str, decides: int, args: dict[str, Any], where: str) -> str:
    """Name the arguments that most likely decide about a tensor.

    Args:
        ours: our name of it, without its part.
        decides: 0 whether there is one, 1 the size of its first axis, 2 of the others.
        args: the original's arguments.
        where: the file they came from.
    """
    ignored = {name for name, _, _, types, _ in ARGUMENTS if args["model_type"] not in types}
    candidates = next(row for row in BLAMED if ours.startswith(row[0]))[1 + decides]
    causes = [name for name in candidates if name not in ignored] or ["model_type"]
    return f"{where}'s {' or '.join(f'{name}={args[name]}' for name in causes)}"


def translate(args: dict[str, Any]) -> list[str]:
    """Translate the original's arguments into overrides of ``configs/train.yaml``.

    Args:
        args: all of them, by name.
    """
    model_type = args["model_type"]
    softmax = args["use_softmax"] and model_type in CORRECTED
    grey = args["greyscale"] or args["transform_to_greyscale"]
    unfinished = model_type in CANVASES and args["use_intermed_loss"] > 1
    settings = {
        key: convert(args[name]) if convert else args[name]
        for name, _, key, types, convert in ARGUMENTS
        if model_type in types
    } | {
        "data.channels": 4 if args["transparent"] else 1 if grey else 3,
        "batch_size": args["batch_size"] * args["grad_cummulate_every"],
        "model/ema": "released",
        "model/loss": "hinge_pooled" if model_type in UNET or unfinished else "hinge",
        "model.image_range": "unit",
        "model.discriminator_optimiser.lr": args["learning_rate"] * args["ttur_mult"],
    }
    if model_type == "base":
        settings[_G + "c_max"] = args["fmap_max"]
        settings[_G + "attention_at"] = args["attn_res_layers"]
    elif model_type == "lstm_sum":  # which ignores use_softmax
        settings |= {"model/learning_rule": "sum", _H + "key_activation": "identity"}
    elif model_type == "lstm_oja_split_v2":
        settings["model/learning_rule"] = "oja_released" if softmax else "oja"
    else:
        settings["model/learning_rule"] = "delta_released"
    if model_type in UNET:
        settings.setdefault(_U + "input_activation", "identity")
        before = args["pre_unet_loss"] and not args["use_unet_match_loss_only"]
        settings[_G + "supervision.before_refiner"] = before
    if args["aug_prob"] > 0:
        settings["model/augment"] = "diff"
        settings["model.augment.types"] = ["cutout", "translation"]
        settings["model.augment.probability"] = args["aug_prob"]
    if model_type in ("lstm_delta", "lstm_delta_unet"):
        if args["clip"] > 0:  # then the other has no effect
            settings["model.clip"] = {"generator": args["clip"]}
        elif args["clip_rnn"] > 0:
            settings["model.clip"] = {"generator.sequence_processor.lstm": args["clip_rnn"]}
    return [f"{key}={in_hydras_grammar(value)}" for key, value in settings.items()]
