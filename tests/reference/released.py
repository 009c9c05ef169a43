"""The released code's names and options, in ours: builds our modules from its golden files."""

import re
from typing import Any

from torch import Tensor, nn

from fpainter.discriminators.lightgan import LightGANDiscriminator
from fpainter.generators.canvas import LearnedCanvas
from fpainter.generators.input_generators import ProjectLatent, RepeatLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, SumRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sequence_processors import LSTMProcessor

PAINTERS = ("lstm_delta", "lstm_delta_split_v2", "lstm_sum")

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
}

DISCRIMINATOR_NAMES = [
    (r"branches\.0\.", "convolved."),
    (r"branches\.1\.", "pooled."),
    (r"^residual_layers\.(\d+)\.0\.", r"downs.\1."),
    (r"^residual_layers\.(\d+)\.1\.", r"attentions.\1."),
    (r"^to_shape_disc_out\.", "small.layers."),
    (r"(?<=\.)fn\.", ""),
    (r"^non_residual_layers", "plain"),
    (r"^decoder1\.layers\.(\d)\.1", r"decoder.convolutions.\1"),
    (r"^decoder2\.layers\.(\d)\.1", r"quadrant_decoder.convolutions.\1"),
    (r"to_lin_q", "linear_q"),
    (r"to_lin_kv\.net", "linear_kv"),
    (r"to_q", "local_q"),
    (r"to_kv", "local_kv"),
    (r"norm\.g$", "norm.gain"),
    (r"norm\.b$", "norm.shift"),
]


def painter_name(name: str) -> str:
    for theirs, ours in PAINTER_NAMES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def discriminator_name(name: str) -> str:
    for theirs, ours in DISCRIMINATOR_NAMES:
        name = re.sub(theirs, ours, name)
    return name


def load(module: nn.Module, parameters: dict[str, Tensor]) -> None:
    """Load renamed parameters, whose shapes may differ by leading ones."""
    own = module.state_dict()
    module.load_state_dict({n: p.to(own[n]).reshape(own[n].shape) for n, p in parameters.items()})


def painter(model_type: str, options: dict[str, Any]) -> FastWeightPainter:
    steps, d_latent = options["num_decoding_steps"], options["latent_dim"]
    size, d_hidden = options["image_size"], options["rnn_hidden_size"]
    channels = 4 if options.get("transparent") else 1 if options.get("greyscale") else 3
    embedding = options.get("use_pos_enc", False)
    second = model_type.endswith("v2")
    inputs: RepeatLatent | ProjectLatent
    if second:
        activation = "tanh" if options.get("v2_input_sigmoid") else "identity"
        inputs = ProjectLatent(
            d_latent, steps, options["mini_latent_dim"], options["mini_input_size"], activation,
            embedding,
        )  # fmt: skip
    else:
        inputs = RepeatLatent(d_latent, steps, embedding)
    rate = "none" if model_type == "lstm_sum" else "row" if options.get("vect_lr") else "scalar"
    return FastWeightPainter(
        num_steps=steps,
        d_latent=d_latent,
        d_hidden=d_hidden,
        image_size=size,
        channels=channels,
        input_generator=inputs,
        sequence_processor=LSTMProcessor(
            inputs.d_input,
            d_hidden,
            options["num_layers"],
            d_latent,
            state_from_latent=options.get("use_latent_to_init", False) if second else True,
        ),
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
        learning_rule=SumRule() if model_type == "lstm_sum" else DeltaRule(first_rate="one"),
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
