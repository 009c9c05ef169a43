"""The original code's names of tensors, in ours."""

import re
from collections.abc import Callable

import torch
from torch import Tensor

PAINTER_NAMES = {
    "decoder_rnn.": "sequence_processor.lstm.",
    "latent_to_init.": "sequence_processor.to_state.",
    "kvb_net.": "head.to_instructions.",
    "kv_net.": "head.to_instructions.",
    "wide_net.": "head.widen.",
    "input_generator.": "input_generator.to_slices.",
    "per_time_linear_input.": "input_generator.to_input.",
    "decoder_time_enc": "input_generator.step_embedding",
    "learned_init": "canvas.canvas",
    "transformer_encoder.": "sequence_processor.blocks.",
    "latent_to_input.": "sequence_processor.to_hidden.",
    "rfwp_layers.": "sequence_processor.memories.",
    "ff_layers.": "sequence_processor.feedforwards.",
}

BLOCK_NAMES = {
    "sequence_processor.blocks.": {"slow_net": "to_qkv"},
    "sequence_processor.memories.": {"slow_net": "to_drive"},
}
SHARED_BLOCK_NAMES = {"out_linear": "to_out", "layer_norm": "norm", "ff_layers": "layers"}

# On names without the leading "u_net."; patterns of all lists are applied in order.
UNET_NAMES = [
    (r"^init_conv\.", "stem."),
    (r"^downs\.(\d+)\.3\.", r"downsample.\1."),
    (r"^ups\.(\d+)\.3\.", r"upsample.\1."),
    (r"^(downs|ups)\.(\d+)\.0\.", r"\1.\2.first."),
    (r"^(downs|ups)\.(\d+)\.1\.", r"\1.\2.second."),
    (r"^(downs|ups)\.(\d+)\.2\.", r"\1.\2.attention."),
    (r"^mid_block1\.", "middle.0."),
    (r"^mid_attn\.", "middle.1."),
    (r"^mid_block2\.", "middle.2."),
    (r"^final_res_block\.", "last."),
    (r"^final_conv\.", "to_image."),
    (r"block1\.proj\.", "first.0."),
    (r"block1\.norm\.", "first.1."),
    (r"block2\.proj\.", "second.0."),
    (r"block2\.norm\.", "second.1."),
    (r"res_conv\.", "shortcut."),
    (r"fn\.fn\.", ""),
    (r"fn\.norm\.", "norm."),
    (r"\.g$", ".gain"),
    (r"\.b$", ".shift"),
]

# What the original's discriminator and its baseline's generator name alike.
ATTENTION_NAMES = [
    (r"(?<=\.)fn\.", ""),
    (r"to_lin_q", "linear_q"),
    (r"to_lin_kv\.net", "linear_kv"),
    (r"to_q", "local_q"),
    (r"to_kv", "local_kv"),
    (r"norm\.g$", "norm.gain"),
    (r"norm\.b$", "norm.shift"),
]

DISCRIMINATOR_NAMES = [
    (r"branches\.0\.", "convolved."),
    (r"branches\.1\.", "pooled."),
    (r"^residual_layers\.(\d+)\.0\.", r"downs.\1."),
    (r"^residual_layers\.(\d+)\.1\.", r"attentions.\1."),
    (r"^to_shape_disc_out\.", "small.layers."),
    (r"^non_residual_layers", "plain"),
    (r"^decoder1\.layers\.(\d)\.1", r"decoder.convolutions.\1"),
    (r"^decoder2\.layers\.(\d)\.1", r"quadrant_decoder.convolutions.\1"),
    *ATTENTION_NAMES,
]

BASELINE_NAMES = [
    (r"^initial_conv\.", "initial."),
    (r"^out_conv\.", "to_image."),
    (r"^layers\.(\d+)\.0\.2\.1\.", r"ups.\1.3."),
    (r"^layers\.(\d+)\.0\.3\.", r"ups.\1.4."),
    (r"^layers\.(\d+)\.0\.4\.", r"ups.\1.5."),
    (r"^layers\.(\d+)\.1\.to_k\.", r"excitations.\1.to_score."),
    (r"^layers\.(\d+)\.1\.net\.", r"excitations.\1.to_gates."),
    (r"^layers\.(\d+)\.2\.", r"attentions.\1."),
    *ATTENTION_NAMES,
]

# The last layers of our discriminator, with one logit or with 5×5: the original gives reals low
# logits, so its last layers are ours with the sign turned.
TURNED = ("to_logits.3.", "to_logits.2.", "small.layers.5.")

RECURRENCE = (".R_q", ".R_k", ".R_v", ".r_b")  # of a layer of ``rfwp_delta``, one tensor of ours


def renamed(name: str, names: list[tuple[str, str]]) -> str:
    """Apply patterns and their replacements in order."""
    for theirs, ours in names:
        name = re.sub(theirs, ours, name)
    return name


def painter_name(name: str) -> str:
    """Return our name of a painter's tensor, with or without a U-Net."""
    if name.startswith("u_net."):
        return "refiner.unet." + renamed(name.removeprefix("u_net."), UNET_NAMES)
    for theirs, ours in PAINTER_NAMES.items():
        if name.startswith(theirs):
            parts = BLOCK_NAMES.get(ours, {}) | SHARED_BLOCK_NAMES
            return ours + ".".join(parts.get(p, p) for p in name.removeprefix(theirs).split("."))
    return name


def baseline_name(name: str) -> str:
    """Return our name of a tensor of the generator of ``base``."""
    return renamed(name, BASELINE_NAMES)


def discriminator_name(name: str) -> str:
    """Return our name of a discriminator's tensor."""
    return renamed(name, DISCRIMINATOR_NAMES)


def generator_name(model_type: str) -> Callable[[str], str]:
    """Return the function that renames the tensors of this type's generator."""
    return baseline_name if model_type == "base" else painter_name


def is_dropped(name: str) -> bool:
    """Tell second names of a U-Net painter's tensors, and constants that we compute."""
    return name.startswith("mod_dict.") or name.split(".")[-1] in ("f", "dct_weights")


def turned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn the sign of what decides the sign of the discriminator's logits."""
    return {name: -t if name.startswith(TURNED) else t for name, t in state.items()}


def merged_name(name: str) -> str:
    """Return the name of what `merged` makes of a tensor."""
    stem, dot, leaf = name.rpartition(".")
    return f"{stem}.recurrence" if dot + leaf in RECURRENCE else name


def merged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join the recurrent matrices [1 N d_out d_head] of ``rfwp_delta`` to [N d_head d_out]."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        joined = merged_name(name)
        if joined == name:
            result[name] = tensor
        elif joined not in result:
            stem = name.rpartition(".")[0]
            rows = [tensors[stem + leaf] for leaf in RECURRENCE if stem + leaf in tensors]
            result[joined] = torch.cat(rows, dim=-2)[0].transpose(-1, -2)
    return result
