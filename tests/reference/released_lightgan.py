"""The released baseline's names and options, in ours."""

from typing import Any

from fpainter.generators.lightgan import LightGANGenerator
from tests.reference import released

NAMES = [
    (r"^initial_conv\.", "initial."),
    (r"^out_conv\.", "to_image."),
    (r"^layers\.(\d+)\.0\.2\.1\.", r"ups.\1.3."),
    (r"^layers\.(\d+)\.0\.3\.", r"ups.\1.4."),
    (r"^layers\.(\d+)\.0\.4\.", r"ups.\1.5."),
    (r"^layers\.(\d+)\.1\.to_k\.", r"excitations.\1.to_score."),
    (r"^layers\.(\d+)\.1\.net\.", r"excitations.\1.to_gates."),
    (r"^layers\.(\d+)\.2\.", r"attentions.\1."),
    *released.ATTENTION_NAMES,
]


def generator_name(name: str) -> str:
    return released.renamed(name, NAMES)


def generator(options: dict[str, Any]) -> LightGANGenerator:
    return LightGANGenerator(
        options.get("latent_dim", 256),
        options["image_size"],
        channels=4 if options.get("transparent") else 1 if options.get("greyscale") else 3,
        c_max=options.get("fmap_max", 512),
        attention_at=options.get("attn_res_layers", []),
        blur=True,
        channel_attention="frequency" if options.get("freq_chan_attn") else "global_context",
    )
