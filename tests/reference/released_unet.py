"""The released U-Net painters' names and options, in ours."""

from typing import Any

from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.refiners import UNetRefiner
from tests.reference import released

PAINTERS = ("lstm_delta_unet", "lstm_delta_split_unet", "lstm_delta_split_v2_unet")

# In this order, on names without the leading "u_net.".
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


def is_alias(name: str) -> bool:
    """Tell the second names that the released code gives to its parameters."""
    return name.startswith("mod_dict.")


def painter_name(name: str) -> str:
    if not name.startswith("u_net."):
        return released.painter_name(name)
    return "refiner.unet." + released.renamed(name.removeprefix("u_net."), UNET_NAMES)


def painter(
    model_type: str, options: dict[str, Any], judge_before_refiner: bool = False
) -> FastWeightPainter:
    plain = released.painter(model_type.removesuffix("_unet"), options)
    largest = options.get("max_unet_dim", 4)
    return FastWeightPainter(
        plain.num_steps,
        plain.d_latent,
        plain.head.d_hidden,  # type: ignore[arg-type]
        plain.image_size,
        plain.channels,
        plain.input_generator,
        plain.sequence_processor,
        plain.head,
        plain.learning_rule,
        plain.canvas,
        UNetRefiner(
            plain.image_size,
            plain.channels,
            multipliers=[2**power for power in range(largest.bit_length())],
            input_activation="tanh" if options.get("unet_tanh") else "identity",
            detach_input=options.get("stop_grad_unet", False),
        ),
        plain.output_activation,
        judge_before_refiner,
    )
