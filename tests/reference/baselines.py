"""Our networks for the vectors of NVIDIA's StyleGAN2 and of GANsformer."""

from typing import Any

import torch

from fpainter.discriminators.stylegan2 import StyleGAN2Discriminator
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.generators.synthesis.mapping import MappingNetwork
from fpainter.generators.synthesis.network import SynthesisNetwork
from fpainter.generators.synthesis.settings import Attention, Layers
from fpainter.losses.adversarial import NonSaturating
from fpainter.losses.regularisers import R1
from fpainter.training.ema import HalfLifeEMA
from fpainter.training.gan_module import GANModule
from fpainter.training.optimiser import adam
from fpainter.training.path_length import PathLengthPhase
from fpainter.training.phases import DiscriminatorPhase, GeneratorPhase, PenaltyPhase


def discriminator(options: dict[str, Any]) -> StyleGAN2Discriminator:
    """Build ours from the original's arguments."""
    return StyleGAN2Discriminator(
        options["img_resolution"],
        options["img_channels"],
        options["channel_base"],
        options["channel_max"],
        options.get("architecture", "resnet"),
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
    noise = synthesis.get("use_noise", synthesis.get("local_noise", True))
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
                "constant" if noise else "none",
                options.get("conv_clamp"),
                attention,
            ),
            last_convolution=gansformer,
        ),
        options["c_dim"],
        call.get("truncation_psi", 1.0),
        call.get("truncation_cutoff"),
        style_mixing=call.get("style_mixing_prob", 0.0),
    )


def lazy_gan(meta: dict[str, Any]) -> GANModule:
    """Build the module that trains as the original's loss and phases do."""

    def optimiser(parameters: Any) -> torch.optim.Optimizer:
        return adam(parameters, meta["lr"], betas=tuple(meta["betas"]))

    every, weight, decay = meta["reg_interval"], meta["pl_weight"], meta["pl_decay"]
    return GANModule(
        generator(meta["generator"], meta),
        discriminator(meta["discriminator"]),
        NonSaturating(),
        optimiser,
        optimiser,
        HalfLifeEMA(meta["ema_nimg"] / 1000, meta["batch"], ramp_up=None),
        R1(meta["r1_gamma"], every),
        phases={
            "generator": GeneratorPhase(),
            "path_length": PathLengthPhase(weight, every, meta["pl_batch_shrink"], decay),
            "discriminator": DiscriminatorPhase(penalise=False),
            "penalty": PenaltyPhase(),
        },
    )
