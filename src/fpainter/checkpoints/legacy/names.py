"""The original code's names of tensors, in ours."""

import re
from collections.abc import Callable

import torch
from torch import Tensor

# Patterns and their replacements, applied in order.
Renaming = list[tuple[str, str]]

PAINTER: Renaming = [
    (r"^decoder_rnn\.", "sequence_processor.lstm."),
    (r"^latent_to_init\.", "sequence_processor.to_state."),
    (r"^latent_to_input\.", "sequence_processor.to_hidden."),
    (r"^transformer_encoder\.", "sequence_processor.blocks."),
    (r"^rfwp_layers\.", "sequence_processor.memories."),
    (r"^ff_layers\.", "sequence_processor.feedforwards."),
    (r"(blocks\.\d+)\.slow_net", r"\1.to_qkv"),
    (r"(memories\.\d+)\.slow_net", r"\1.to_drive"),
    (r"\.(R_q|R_k|R_v|r_b)$", ".recurrence"),
    (r"\.out_linear\.", ".to_out."),
    (r"\.layer_norm\.", ".norm."),
    (r"\.ff_layers\.", ".layers."),
    (r"^kvb?_net\.", "head.to_instructions."),
    (r"^wide_net\.", "head.widen."),
    (r"^input_generator\.", "input_generator.to_slices."),
    (r"^per_time_linear_input\.", "input_generator.to_input."),
    (r"^decoder_time_enc", "input_generator.step_embedding"),
    (r"^learned_init", "canvas.canvas"),
    (r"^u_net\.", "refiner.unet."),
    (r"unet\.init_conv\.", "unet.stem."),
    (r"unet\.(down|up)s\.(\d+)\.3\.", r"unet.\1sample.\2."),
    (r"unet\.(downs|ups)\.(\d+)\.0\.", r"unet.\1.\2.first."),
    (r"unet\.(downs|ups)\.(\d+)\.1\.", r"unet.\1.\2.second."),
    (r"unet\.(downs|ups)\.(\d+)\.2\.", r"unet.\1.\2.attention."),
    (r"unet\.mid_block1\.", "unet.middle.0."),
    (r"unet\.mid_attn\.", "unet.middle.1."),
    (r"unet\.mid_block2\.", "unet.middle.2."),
    (r"unet\.final_res_block\.", "unet.last."),
    (r"unet\.final_conv\.", "unet.to_image."),
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
ATTENTION: Renaming = [
    (r"(?<=\.)fn\.", ""),
    (r"to_lin_(q|kv)(\.net)?\.", r"linear_\1."),
    (r"to_(q|kv)\.", r"local_\1."),
    (r"norm\.g$", "norm.gain"),
    (r"norm\.b$", "norm.shift"),
]

DISCRIMINATOR: Renaming = [
    (r"branches\.0\.", "convolved."),
    (r"branches\.1\.", "pooled."),
    (r"^residual_layers\.(\d+)\.0\.", r"downs.\1."),
    (r"^residual_layers\.(\d+)\.1\.", r"attentions.\1."),
    (r"^to_shape_disc_out\.", "small.layers."),
    (r"^non_residual_layers", "plain"),
    (r"^decoder1\.layers\.(\d)\.1", r"decoder.convolutions.\1"),
    (r"^decoder2\.layers\.(\d)\.1", r"quadrant_decoder.convolutions.\1"),
    *ATTENTION,
]

BASELINE: Renaming = [
    (r"^initial_conv\.", "initial."),
    (r"^out_conv\.", "to_image."),
    (r"^layers\.(\d+)\.0\.2\.1\.", r"ups.\1.3."),
    (r"^layers\.(\d+)\.0\.3\.", r"ups.\1.4."),
    (r"^layers\.(\d+)\.0\.4\.", r"ups.\1.5."),
    (r"^layers\.(\d+)\.1\.to_k\.", r"excitations.\1.to_score."),
    (r"^layers\.(\d+)\.1\.net\.", r"excitations.\1.to_gates."),
    (r"^layers\.(\d+)\.2\.", r"attentions.\1."),
    *ATTENTION,
]

# The last layers of our discriminator, with one logit or with 5×5: the original gives reals low
# logits, so its last layers are ours with the sign turned.
TURNED = ("to_logits.3.", "to_logits.2.", "small.layers.5.")

RECURRENCE = ("R_q", "R_k", "R_v", "r_b")  # of a layer of ``rfwp_delta``, one tensor of ours


def renaming(part: str, model_type: str) -> Callable[[str], str]:
    """Return the function from the original's names of tensors to ours.

    Args:
        part: ``generator``, ``generator_ema`` or ``discriminator``.
        model_type: of the original.
    """
    patterns = PAINTER
    if part == "discriminator":
        patterns = DISCRIMINATOR
    elif model_type == "base":
        patterns = BASELINE

    def rename(name: str) -> str:
        for theirs, ours in patterns:
            name = re.sub(theirs, ours, name)
        return name

    return rename


def is_dropped(name: str) -> bool:
    """Tell second names of a U-Net painter's tensors, and constants that we compute."""
    return name.startswith("mod_dict.") or name.split(".")[-1] in ("f", "dct_weights")


def turned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn the sign of what decides the sign of the discriminator's logits."""
    return {name: -t if name.startswith(TURNED) else t for name, t in state.items()}


def merged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join the recurrent matrices [1 N d_out d_head] of ``rfwp_delta`` to [N d_head d_out]."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stem, _, leaf = name.rpartition(".")
        joined = f"{stem}.recurrence"
        if leaf not in RECURRENCE:
            result[name] = tensor
        elif joined not in result:
            rows = [tensors[f"{stem}.{r}"] for r in RECURRENCE if f"{stem}.{r}" in tensors]
            result[joined] = torch.cat(rows, dim=-2)[0].transpose(-1, -2)
    return result
