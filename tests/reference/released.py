"""The released code's names and options, in ours: builds our modules from its golden files."""

import re
from typing import Any

from torch import Tensor, nn

from fpainter.discriminators.lightgan import LightGANDiscriminator
from fpainter.generators.canvas import LearnedCanvas
from fpainter.generators.input_generators import ProjectLatent, RepeatLatent, SplitLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, OjaRule, SumRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.generators.transformer_processor import TransformerProcessor

PAINTERS = (
    "lstm_delta",
    "lstm_delta_split",
    "lstm_delta_split_v2",
    "lstm_oja_split_v2",
    "lstm_sum",
    "trafo_delta_split",
)

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
}

BLOCK_NAMES = {
    "slow_net": "to_qkv",
    "out_linear": "to_out",
    "layer_norm": "norm",
    "ff_layers": "layers",
}

# What the released discriminator and the baseline's generator name alike.
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


def painter_name(name: str) -> str:
    for theirs, ours in PAINTER_NAMES.items():
        if name.startswith(theirs):
            parts = name.removeprefix(theirs).split(".")
            return ours + ".".join(BLOCK_NAMES.get(part, part) for part in parts)
    return name


def renamed(name: str, names: list[tuple[str, str]]) -> str:
    """Apply patterns and their replacements in order."""
    for theirs, ours in names:
        name = re.sub(theirs, ours, name)
    return name


def discriminator_name(name: str) -> str:
    return renamed(name, DISCRIMINATOR_NAMES)


def load(module: nn.Module, parameters: dict[str, Tensor]) -> None:
    """Load renamed parameters, whose shapes may differ by leading ones."""
    own = module.state_dict()
    module.load_state_dict({n: p.to(own[n]).reshape(own[n].shape) for n, p in parameters.items()})


def input_generator(
    model_type: str, options: dict[str, Any]
) -> RepeatLatent | SplitLatent | ProjectLatent:
    steps, d_latent = options["num_decoding_steps"], options["latent_dim"]
    embedding = options.get("use_pos_enc", False)
    if model_type.endswith("split_v2"):
        activation = "tanh" if options.get("v2_input_sigmoid") else "identity"
        return ProjectLatent(
            d_latent, steps, options["mini_latent_dim"], options["mini_input_size"], activation,
            embedding,
        )  # fmt: skip
    if model_type.endswith("split"):
        d_input = options.get("mini_input_size", options["rnn_hidden_size"])
        return SplitLatent(d_latent, steps, options["mini_latent_dim"], d_input, embedding)
    return RepeatLatent(d_latent, steps, embedding)


def sequence_processor(
    model_type: str, options: dict[str, Any], d_input: int
) -> LSTMProcessor | TransformerProcessor:
    d_hidden, num_layers = options["rnn_hidden_size"], options["num_layers"]
    if model_type.startswith("trafo"):
        return TransformerProcessor(
            d_input, d_hidden, num_layers, options["num_heads"], options["dim_feedforward"]
        )
    always = model_type in ("lstm_delta", "lstm_sum")
    optional = model_type == "lstm_delta_split_v2" and options.get("use_latent_to_init", False)
    return LSTMProcessor(
        d_input,
        d_hidden,
        num_layers,
        options["latent_dim"],
        state_from_latent=always or optional,
    )


def learning_rule(model_type: str, options: dict[str, Any]) -> SumRule | OjaRule | DeltaRule:
    if model_type == "lstm_sum":
        return SumRule()
    if model_type.startswith("lstm_oja"):
        return OjaRule("softmax" if options.get("use_softmax") else "identity")
    return DeltaRule(first_rate="one")


def painter(model_type: str, options: dict[str, Any]) -> FastWeightPainter:
    size, d_hidden = options["image_size"], options["rnn_hidden_size"]
    channels = 4 if options.get("transparent") else 1 if options.get("greyscale") else 3
    inputs = input_generator(model_type, options)
    rate = "none" if model_type == "lstm_sum" else "row" if options.get("vect_lr") else "scalar"
    return FastWeightPainter(
        num_steps=options["num_decoding_steps"],
        d_latent=options["latent_dim"],
        d_hidden=d_hidden,
        image_size=size,
        channels=channels,
        input_generator=inputs,
        sequence_processor=sequence_processor(model_type, options, inputs.d_input),
        head=InstructionHead(
            d_hidden,
            size,
            channels,
            rate,
            key_activation="softmax" if options.get("use_softmax") else "identity",
            value_activation="tanh" if options.get("val_tanh") else "identity",
            rate_activation="identity" if options.get("no_sigmoid_lr") else "sigmoid",
            d_wide=options.get("wide_out_dim"),
        ),
        learning_rule=learning_rule(model_type, options),
        canvas=LearnedCanvas(size, channels) if options.get("use_learned_init") else None,
        output_activation="tanh" if options.get("out_tanh") else "identity",
    )


def discriminator(options: dict[str, Any], blur: bool) -> LightGANDiscriminator:
    return LightGANDiscriminator(
        options["image_size"],
        c_max=options["fmap_max"],
        attention_at=options["attn_res_layers"],
        logit_size=options["disc_output_size"],
        blur=blur,
    )
