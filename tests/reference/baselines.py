"""Our networks for the vectors of NVIDIA's StyleGAN2 and of GANsformer."""

from typing import Any

from fpainter.discriminators.stylegan2 import StyleGAN2Discriminator
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.generators.synthesis.mapping import MappingNetwork
from fpainter.generators.synthesis.network import SynthesisNetwork
from fpainter.generators.synthesis.settings import Attention, Layers


def discriminator(options: dict[str, Any]) -> StyleGAN2Discriminator:
    """Build ours from the original's arguments."""
    return StyleGAN2Discriminator(
        options["img_resolution"],
        options["img_channels"],
        options["channel_base"],
        options["channel_max"],
        options["architecture"],
        num_labels=options["c_dim"],
    )


def generator(options: dict[str, Any], call: dict[str, Any]) -> SynthesisGenerator:
    """Build ours from the original's arguments and those of its call."""
    gansformer = "k" in options
    mapping, synthesis = options["mapping_kwargs"], options.get("synthesis_kwargs", options)
    num_local, d_w = options.get("k", 1) - 1, options["w_dim"]
    among_latents = mapping.get("ltnt2ltnt", False)
    gates = synthesis.get("ltnt_gate", False), synthesis.get("img_gate", False)
    positions = synthesis.get("use_pos", False)
    attention = Attention(
        num_heads=synthesis.get("num_heads", 1),
        integration=synthesis.get("integration", "add"),
        norm=synthesis.get("norm"),
        latent_positions=positions,
        gate_from=gates[1],
        gate_to=gates[0],
        kmeans_iterations=synthesis.get("kmeans_iters", 1) if synthesis.get("kmeans") else 0,
        from_side=2 ** synthesis.get("start_res", 0),
        to_side=2 ** (synthesis.get("end_res", 20) - 1),
    )
    gate = mapping.get("ltnt_gate", False)
    latents = options["z_dim"] * (num_local + 1)
    return SynthesisGenerator(
        latents,
        MappingNetwork(
            latents,
            d_w,
            mapping["num_layers"] + gansformer,
            num_local,
            num_labels=options["c_dim"],
            residual=mapping.get("resnet", False),
            attention=Attention(latent_positions=positions, gate_from=gate, gate_to=gate)
            if among_latents
            else None,
        ),
        SynthesisNetwork(
            options["img_resolution"],
            options["img_channels"],
            d_w,
            num_local,
            1,
            synthesis["channel_base"],
            synthesis["channel_max"],
            synthesis.get("architecture", "skip"),
            "latent" if synthesis.get("latent_stem") else "constant",
            Layers(
                synthesis.get("style", True),
                gansformer,
                "constant" if synthesis.get("local_noise", True) else "none",
                options.get("conv_clamp"),
                attention,
            ),
            last_convolution=gansformer,
        ),
        options["c_dim"],
        call.get("truncation_psi", 1.0),
        call.get("truncation_cutoff"),
    )
