"""Plain state dicts of NVIDIA's StyleGAN2 and of GANsformer, in our names."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from fpainter.checkpoints.legacy.names import Renaming
from fpainter.errors import UserError
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.nn.sizes import shape_text

GENERATOR: Renaming = [
    (r"^pos$", "positions"),
    (r"^mapping\.w_avg$", "w_average"),
    (r"^mapping\.fc(\d+)\.", r"mapping_network.global_mlp.layers.\1."),
    (r"^mapping\.mlp\.", "mapping.local_mlp."),
    (r"^mapping\.(\w+_mlp)\.l(\d+)\.", r"mapping.\1.layers.\2."),
    (r"^mapping\.(\w+_mlp)\.sa(\d+)\.", r"mapping.\1.attentions.\2."),
    (r"^(mapping.*)\.fc0\.", r"\1.first."),
    (r"^(mapping.*)\.fc1\.", r"\1.second."),
    (r"^mapping\.", "mapping_network."),
    (r"^synthesis\.b4\.const$", "synthesis_network.constant"),
    (r"^synthesis\.b4\.conv_stem\.", "synthesis_network.stem."),
    (r"^synthesis\.b4\.conv1\.", "synthesis.b4.layers.0."),
    (r"^synthesis\.b(\d+)\.conv([01])\.", r"synthesis.b\1.layers.\2."),
    (r"^synthesis\.b(\d+)\.torgb\.", r"synthesis.b\1.to_image."),
    (r"^(synthesis\.b\d+\.(?:layers\.\d|to_image))\.(affine|weight)", r"\1.convolution.\2"),
    (r"^synthesis\.b(\d+)\.", r"synthesis_network.blocks.\1."),
    (r"\.conv_last\.", ".last_convolution."),
    (r"\.skip\.", ".shortcut."),
    (r"\.affine\.", ".to_scale."),
    (r"\.biasAct\.bias$", ".bias"),
    (r"\.noise_const$", ".noise_map"),
    (r"\.transformer\.", ".attention."),
    (r"\.to_queries\.", ".to_query."),
    (r"\.to_keys\.", ".to_key."),
    (r"\.to_values\.", ".to_value."),
    (r"\.from_pos_map\.", ".query_position."),
    (r"\.to_pos_map\.", ".key_position."),
    (r"\.modulation\.", ".to_control."),
    (r"\.att_weight$", ".centroid_weight"),
    (r"\.(from|to)_gate_attention\.gate\.", r".gate_\1.content."),
    (r"\.(from|to)_gate_attention\.gate_pos\.", r".gate_\1.position."),
]

DISCRIMINATOR: Renaming = [
    (r"^mapping\.embed\.", "embed."),
    (r"^mapping\.fc(\d+)\.", r"label_layers.\1."),
    (r"^b(\d+)\.fromrgb\.", r"from_image.\1."),
    (r"^b4\.conv\.", "mix."),
    (r"^b4\.fc\.", "hidden."),
    (r"^b4\.out\.", "to_logit."),
    (r"^b(\d+)\.conv0\.", r"blocks.\1.first."),
    (r"^b(\d+)\.conv1\.", r"blocks.\1.second."),
    (r"^b(\d+)\.skip\.", r"blocks.\1.shortcut."),
    (r"\.biasAct\.bias$", ".bias"),
]

# What a network may hold without using it, or what we compute: filters and positions; noise, where
# it is off; styles, where nothing is modulated; keys, where there are centroids; the positions of
# latents, where they are off.
IDLE = re.compile(
    r"(\.resample_(filter|kernel)|\.grid_pos|\.noise_(const|strength)"
    r"|\.affine\.\w+|\.to_keys\.\w+|\.to_pos_map\.\w+|\.gate_pos\.\w+|^pos)$"
)


def renamed(module: nn.Module, name: str) -> str:
    """Return our name of a tensor.

    Args:
        module: one of our networks; its kind and depth count.
        name: of NVIDIA's or of GANsformer's code.
    """
    if isinstance(module, SynthesisGenerator):
        patterns = GENERATOR
        last = len(module.mapping_network.global_mlp.layers) - 1
        name = re.sub(r"\.out_layer\.", f".l{last}.", name)
    else:
        patterns = DISCRIMINATOR
    for theirs, ours in patterns:
        name = re.sub(theirs, ours, name)
    return name


def load_plain(module: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Load a state dict of NVIDIA's StyleGAN2 or of GANsformer, every tensor in its place.

    Args:
        module: a `SynthesisGenerator` or a `StyleGAN2Discriminator` of the same sizes and options.
            Latents are side by side in the order of the original, the global one last. A mapping
            of GANsformer has one layer more here.
        state: its names and tensors.

    Returns:
        The names of tensors that were left out, because the network does not use them.

    Raises:
        UserError: at the first tensor without a place, place without a tensor, or other shape.
    """
    own, placed, left_out = module.state_dict(), dict[str, Tensor](), list[str]()
    for name, tensor in state.items():
        ours = renamed(module, name)
        if ours not in own and IDLE.search(name):
            left_out.append(name)
        elif ours not in own:
            raise UserError(f"{name} has no place in a network with these settings")
        elif tensor.numel() != own[ours].numel() or tensor.shape[-1:] != own[ours].shape[-1:]:
            sizes = shape_text(tensor), shape_text(own[ours])
            raise UserError(f"{name} is {sizes[0]} there; these settings ask for {sizes[1]}")
        else:
            placed[ours] = tensor.reshape(own[ours].shape)
    for ours in own:
        if ours not in placed:
            raise UserError(f"there is nothing for {ours}, which these settings ask for")
    module.load_state_dict(placed)
    return left_out
