"""Files with state dicts of NVIDIA's StyleGAN2 and of GANsformer, and what networks they are of."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fpainter.checkpoints.safe_load import safe_load
from fpainter.errors import UserError, first_line
from fpainter.generators.trained import part

# What players are called in files; a generator without a name of its own is the averaged one.
NAMES = {"G_ema": "generator_ema", "G": "generator", "D": "discriminator"}
State = Mapping[str, Tensor]
Settings = dict[str, Any]

_PICKLE = b"\x80"
_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch before 1.6 begin
ADVICE = "torch.save({'G_ema': G_ema.state_dict()}, 'weights.pt')"
# What no tensor tells, by the preset's name; it is as in the preset.
UNTOLD = {
    "stylegan2": "layers.clamp",
    "gan": "layers.clamp",
    "gansformer_simplex": "layers.clamp; attention's num_heads, integration, norm, positions, "
    "latent_positions",
    "gansformer_duplex": "layers.clamp; attention's num_heads, integration, norm, positions, "
    "latent_positions, kmeans_iterations",
}
LARGEST = 4096  # pixels; the names in a file alone shall not fill the memory
_G, _D = "model.generator.", "model.discriminator."


def read_plain(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read state dicts without running anything stored in the file.

    Args:
        path: by ``torch.save`` or safetensors: of an averaged generator alone, or of several
            players by the names in `NAMES`, which may be dicts or how the tensors' names begin.

    Returns:
        The players that are there, among them ``generator`` and ``generator_ema``, of which one
        may stand for both; tensors by the names of their code.

    Raises:
        UserError: if the file is something else or has no generator.
    """
    with path.open("rb") as file:
        start = file.read(len(_TORCH))
    if start.startswith(_PICKLE) and start != _TORCH:
        raise UserError(
            f"checkpoint={path}: is a pickle, such as StyleGAN2, StyleGAN3 and GANsformer write, "
            f"which would run code stored in it; save its weights by their own code: {ADVICE}"
        )
    stored = (
        _safetensors(path)
        if path.suffix == ".safetensors"
        else safe_load(path, "checkpoint", legacy=True)
    )
    if isinstance(stored, dict) and "GAN" in stored:
        raise UserError(f"checkpoint={path}: is of the original code; args= is missing")
    flat: dict[str, Tensor] = {}
    for name, value in stored.items() if isinstance(stored, dict) else ():
        inner = {f"{name}.{n}": t for n, t in value.items()} if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else inner
    if not flat or not all(isinstance(tensor, Tensor) for tensor in flat.values()):
        raise UserError(f"checkpoint={path}: is no state dict, such as {ADVICE} writes")
    if any(tensor.nbytes > path.stat().st_size for tensor in flat.values()):
        raise UserError(f"checkpoint={path}: its tensors are larger than the file")
    players = {ours: part(flat, f"{theirs}.") for theirs, ours in NAMES.items()}
    players = {player: state for player, state in players.items() if state}
    if "generator" not in players and "generator_ema" not in players:
        players = {"generator_ema": flat}
    count = sum(map(len, players.values()))
    if count < len(flat):
        known = tuple(f"{name}." for name in NAMES)
        other = next(name for name in flat if not name.startswith(known))
        raise UserError(f"checkpoint={path}: {other} belongs to none of {', '.join(NAMES)}")
    players.setdefault("generator_ema", players.get("generator", {}))
    players.setdefault("generator", players["generator_ema"])
    return players


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        reason = first_line(error)
        raise UserError(f"checkpoint={path}: not a readable safetensors file ({reason})") from error


def settings_of(players: Mapping[str, State]) -> Settings:
    """Return the overrides of ``configs/train.yaml`` that describe the networks.

    The shapes and names of tensors tell all but what is in `UNTOLD`; there the preset counts.

    Args:
        players: from `read_plain`.

    Raises:
        UserError: if the tensors are those of another kind of network.
    """
    try:
        settings = _generator(players["generator_ema"])
        settings |= _discriminator(players.get("discriminator"), settings)
    except (KeyError, IndexError) as error:
        raise UserError(
            f"checkpoint: no generator (and discriminator) of StyleGAN2 or GANsformer: {error} is "
            "missing"
        ) from error
    return settings


def _sides(state: State, prefix: str = "") -> list[int]:
    """Return the sides of the maps that have layers, the smallest first."""
    found = (re.match(rf"{re.escape(prefix)}b(\d+)\.", name) for name in state)
    sides = sorted({int(match[1]) for match in found if match})
    if not sides:
        raise KeyError(f"{prefix}b4")
    return sides


def _channels(widths: Mapping[int, int]) -> Settings:
    """Return what ``min(base / side, max)`` gives these channels by side."""
    base = max(side * width for side, width in widths.items())
    return {"channel_base": base, "channel_max": max(widths.values())}


def _architecture(state: State, several: bool) -> str:
    if several:
        return "skip"
    return "resnet" if any(".skip.weight" in name for name in state) else "orig"


def _generator(state: State) -> Settings:
    sides = _sides(state, "synthesis.")
    if sides != [4 * 2**stage for stage in range(len(sides))] or sides[-1] > LARGEST:
        raise UserError(f"checkpoint: layers of {', '.join(map(str, sides))} pixels are no network")
    last = f"synthesis.b{sides[-1]}"
    widths = {side: len(state[f"synthesis.b{side}.conv1.weight"]) for side in sides}
    several = f"synthesis.b{sides[0]}.torgb.weight" in state
    network = _channels(widths) | {"architecture": _architecture(state, several)}
    network["last_convolution"] = f"{last}.conv_last.weight" in state
    if not any(name.endswith(".noise_strength") for name in state):
        network["layers.noise"] = "none"
    labels = state.get("mapping.embed.weight")
    num_labels = 0 if labels is None else labels.shape[1]
    settings: Settings = {
        "model": _kind(state),
        "image_size": sides[-1],
        "data.channels": len(state[f"{last}.torgb.weight"]),
        _G + "num_labels": num_labels,
    }
    if num_labels:
        settings |= {"data.labels": True, "data.class_names": [*map(str, range(num_labels))]}
    d_label = 0 if labels is None else len(labels)
    parts = _mapping(state, d_label) | {f"synthesis.{key}": v for key, v in network.items()}
    if settings["model"].startswith("gansformer"):
        parts |= _attention(state, widths)
    return settings | {_G + key: value for key, value in parts.items()}


def _kind(state: State) -> str:
    """Return the preset, which decides what tensors do not tell."""
    if any(".transformer." in name for name in state):
        duplex = any(name.endswith(".centroids") for name in state)
        return "gansformer_duplex" if duplex else "gansformer_simplex"
    return "gan" if "synthesis.b4.conv_stem.weight" in state else "stylegan2"


def _mapping(state: State, d_label: int) -> Settings:
    d_w = len(state["mapping.w_avg"])
    if "mapping.fc0.weight" in state:  # StyleGAN2's own code
        num_layers = sum(
            re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in state
        )
        d_latent = state["mapping.fc0.weight"].shape[1] - d_label
        return {"d_latent": d_latent, "mapping.d_w": d_w, "mapping.num_layers": num_layers}
    mlp = "mapping.global_mlp."
    residual = f"{mlp}l0.fc0.weight" in state
    num_layers = 1 + sum(
        re.fullmatch(rf"{mlp}l\d+(\.fc[01])?\.weight", name) is not None for name in state
    )
    first = next((n for n in ("l0.fc0", "l0") if f"{mlp}{n}.weight" in state), "out_layer")
    size = state[f"{mlp}{first}.weight"].shape[1] - (0 if residual else d_label)
    num_local = len(state.get("pos", ()))
    return {
        "d_latent": size * (num_local + 1),
        "mapping.d_w": d_w,
        "mapping.num_layers": num_layers,
        "mapping.num_local": num_local,
        "mapping.residual": residual,
        "synthesis.layers.epsilon_scaled": True,
    }


def _attention(state: State, widths: Mapping[int, int]) -> Settings:
    """Return the settings of attention in both networks of a GANsformer."""

    def gates(names: list[str], key: str) -> Settings:
        ends = ("from", "to")
        return {f"{key}.gate_{end}": any(f".{end}_gate_" in n for n in names) for end in ends}

    key, among = "synthesis.layers.attention", "mapping.attention"
    attending = {name: t for name, t in state.items() if ".transformer." in name}
    sides = _sides(attending, "synthesis.")
    layer = f"synthesis.b{sides[0]}.conv1.transformer."
    settings = gates([*attending], key)
    settings |= {f"{key}.from_side": sides[0], f"{key}.to_side": sides[-1]}
    if len(state[f"{layer}modulation.weight"]) == 2 * widths[sides[0]]:
        settings[f"{key}.integration"] = "both"
    by_head = [t for n, t in attending.items() if n.endswith("_gate_attention.gate.bias")]
    if by_head:
        settings[f"{key}.num_heads"] = len(by_head[0])
    latents = [name for name in state if re.match(r"mapping\.mlp\.sa\d+\.", name)]
    return settings | (gates(latents, among) if latents else {among: None})


def _discriminator(state: State | None, generator: Settings) -> Settings:
    settings: Settings = {"num_labels": generator[_G + "num_labels"]}
    if state is None:
        shared = ("channel_base", "channel_max")
        settings |= {key: generator[f"{_G}synthesis.{key}"] for key in shared}
    else:
        sides = _sides(state)
        widths = {side: len(state[f"b{side}.conv0.weight"]) for side in sides if side > 4}
        mixing = state["b4.conv.weight"]
        settings |= _channels(widths | {4: len(mixing)})
        several = f"b{sides[0]}.fromrgb.weight" in state
        settings["architecture"] = _architecture(state, several)
        if mixing.shape[0] == mixing.shape[1]:
            settings["group_size"] = 1
    return {_D + key: value for key, value in settings.items()}
