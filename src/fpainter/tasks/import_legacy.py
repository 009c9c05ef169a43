"""A checkpoint of the original code becomes one of ours."""

import json
import logging
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from fpainter.checkpoints.legacy.arguments import (
    DEFAULTS,
    MODEL_TYPES,
    REMARKS,
    WITHOUT_MEANING,
    translate,
)
from fpainter.checkpoints.legacy.checkpoint import (
    load_adam,
    load_weights,
    read_original,
    write_checkpoint,
)
from fpainter.checkpoints.record import record
from fpainter.errors import UserError
from fpainter.launch.command import CONFIG_DIR, quoted
from fpainter.training.gan_module import PLAYERS, GANModule


def import_legacy(options: dict[str, str]) -> list[str]:
    """Write one of our checkpoints with all that a checkpoint of the original code holds.

    Args:
        options: by the names in `fpainter.import_legacy.KEYS`.

    Returns:
        The lines of a summary.

    Raises:
        UserError: if a file cannot be used or the files do not fit each other.
    """
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    output = Path(options["output"]).expanduser().resolve()
    if output.exists() and options.get("overwrite") != "true":
        raise UserError(f"output={output}: exists; overwrite=true replaces it")
    original = read_original(options["checkpoint"])
    args, remarks = _arguments(options)
    remarks += original.remarks
    if args["fmap_max"] != original.c_max == 512:
        remarks.append(f"fmap_max={args['fmap_max']} was reset to 512 when the original restarted")
        args["fmap_max"] = 512
    data, remark = _data_overrides(options.get("data_dir"), args)
    remarks += remark
    overrides = translate(args) + data
    config = compose(overrides, output.parent)
    try:
        module: GANModule = hydra.utils.instantiate(config["model"])
    except HydraException as error:
        raise UserError(f"args={options['args']}: {error.__cause__ or error}") from error
    load_weights(module, original, args, Path(options["args"]).name)
    module.iteration, source = _iteration(options.get("iteration")) or original.iteration()
    optimisers = module.configure_optimizers()
    for player, optimiser in zip(PLAYERS, optimisers, strict=True):
        missing = load_adam(optimiser, player, module.get_submodule(player), original, args)
        if missing:
            remarks.append(
                f"{missing} parameters of {player} have no state of Adam in the file and start "
                "without"
            )
    output.parent.mkdir(parents=True, exist_ok=True)
    run = record(config, overrides)
    write_checkpoint(output, module, optimisers, config["batch_size"], run)
    num_tensors = sum(len(tensors) for tensors in original.tensors.values())
    return [
        f"{args['model_type']}: generator {_millions(module, 'generator')}, "
        f"discriminator {_millions(module, 'discriminator')}",
        f"{num_tensors} tensors taken, {original.num_dropped} second names and constants left out; "
        "the sign of the discriminator's last layers turned (here a high logit means real)",
        f"iteration {module.iteration} ({source})",
        *(f"note: {remark}" for remark in remarks),
        f"written to {output}; next:",
        *(f"  python -m fpainter.{name} ckpt={output}" for name in ("generate", "eval", "train")),
    ]


def _arguments(options: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return all arguments of the original, its config.json's first, and remarks on them."""
    path = Path(options["args"]).expanduser()
    given = _read_json(path, "args")
    folder = Path(options["checkpoint"]).expanduser().parent
    beside = [folder / name for name in (".config.json", "config.json")]
    config = Path(options["config"]).expanduser() if "config" in options else None
    config = config or next((file for file in beside if file.is_file()), None)
    stored = _read_json(config, "config") if config else {}
    remarks = [
        f"{name}={given[name]} of {path.name} is {stored[name]} in {config.name}, which counts"
        for name in stored.keys() & given.keys()
        if config and stored[name] != given[name]
    ]
    args = DEFAULTS | given | stored
    if args["model_type"] not in MODEL_TYPES:
        types = ", ".join(MODEL_TYPES)
        raise UserError(f"args={path}: model_type={args['model_type']}: must be one of {types}")
    for name, default in DEFAULTS.items():
        allowed = (int, float) if isinstance(default, float) else type(default)
        if default is not None and not isinstance(args[name], allowed):
            raise UserError(f"args={path}: {name} must be like {default!r}; got {args[name]!r}")
    if args["optimizer"] != "adam":
        raise UserError(f"args={path}: optimizer={args['optimizer']}: must be adam")
    harmless = {"ema_only_unet"} if args["frozen_base"] else set()  # the painter stays the same
    for name in args.keys() - harmless:
        if name in REMARKS and args[name]:
            remarks.append(f"{name}={args[name]}: {REMARKS[name]}")
        elif name not in DEFAULTS and name not in WITHOUT_MEANING:
            remarks.append(f"{name} is no argument of the original and was ignored")
    if "data_dir" not in given:
        args["data_dir"] = None  # rather than a default that nobody chose
    return args, sorted(remarks)


def _read_json(path: Path, key: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{key}={path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{key}={path}: must hold names and values")
    return content


def _data_overrides(given: str | None, args: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return overrides that name the training images, and remarks if they cannot."""
    wanted = given or args["data_dir"]
    path = Path(wanted).expanduser().resolve() if wanted else None
    if path is not None and path.exists():
        return ["data=folder", f"data.dir={quoted(path)}"], []
    if given:
        raise UserError(f"data_dir={given}: there is no such folder or file")
    missing = f"data_dir={wanted} does not exist here" if wanted else "the images are not known"
    return ["data=folder"], [f"{missing}: give eval and train data.dir=PATH"]


def compose(overrides: list[str], run_dir: Path) -> dict[str, Any]:
    """Compose and resolve the config of a training run, as its record keeps it.

    Args:
        overrides: of ``configs/train.yaml``.
        run_dir: the run directory.

    Raises:
        UserError: if there is no such setting.
    """
    before = HydraConfig.instance().cfg
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            config = hydra.compose("train", overrides, return_hydra_config=True)
        with open_dict(config):
            config.hydra.runtime.output_dir = str(run_dir)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        resolved = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"args.txt asks for what cannot be configured: {error}") from error
    finally:
        HydraConfig.instance().cfg = before
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _iteration(given: str | None) -> tuple[int, str] | None:
    if given is None:
        return None
    if not given.isdecimal():
        raise UserError(f"iteration={given}: must be a whole number, 0 or more")
    return int(given), "as given"


def _millions(module: GANModule, part: str) -> str:
    return f"{sum(p.numel() for p in module.get_submodule(part).parameters()) / 1e6:.2f} M"
