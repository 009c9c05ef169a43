"""A checkpoint of the original code becomes one of ours."""

import logging
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fpainter.checkpoints.legacy import checkpoint as legacy
from fpainter.checkpoints.legacy.arguments import read_arguments, translate
from fpainter.checkpoints.record import in_hydras_grammar, record
from fpainter.errors import UserError
from fpainter.launch.configs import composed
from fpainter.training.gan_module import GANModule
from fpainter.training.phases import PLAYERS


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
    checkpoint, args_txt = (Path(options[key]).expanduser() for key in ("checkpoint", "args"))
    original = legacy.read_original(checkpoint)
    beside = (checkpoint.with_name(name) for name in (".config.json", "config.json"))
    stored = options.get("config") or next((path for path in beside if path.is_file()), None)
    args, remarks = read_arguments(args_txt, stored and Path(stored).expanduser())
    remarks += original.remarks
    deepest = original.tensors["discriminator"].get("decoder1.layers.0.1.weight")
    if deepest is not None and args["fmap_max"] != deepest.shape[1] == 512:
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
    legacy.load_weights(module, original, args, args_txt.name)
    module.iteration, source = original.iteration()
    if "iteration" in options:
        if not options["iteration"].isdecimal():
            raise UserError(f"iteration={options['iteration']}: must be a whole number, 0 or more")
        module.iteration, source = int(options["iteration"]), "as given"
    optimisers = module.configure_optimizers()
    for player, optimiser in zip(PLAYERS, optimisers, strict=True):
        part = module.get_submodule(player)
        missing = legacy.load_adam(optimiser, player, part, original, args)
        if missing:
            remarks.append(
                f"{missing} parameters of {player} have no state of Adam in the file and start "
                "without"
            )
    output.parent.mkdir(parents=True, exist_ok=True)
    run = record(config, overrides)
    legacy.write_checkpoint(output, module, optimisers, config["batch_size"], run)
    num_tensors = sum(len(tensors) for tensors in original.tensors.values())
    return [
        f"{args['model_type']}: {module.sizes()}",
        f"{num_tensors} tensors taken, {original.num_dropped} second names and constants left out; "
        "the sign of the discriminator's last layers turned (here a high logit means real)",
        f"iteration {module.iteration} ({source})",
        *(f"note: {remark}" for remark in remarks),
        f"written to {output}; next:",
        *(f"  python -m fpainter.{name} ckpt={output}" for name in ("generate", "eval", "train")),
    ]


def _data_overrides(given: str | None, args: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return overrides that name the training images, and remarks if they cannot."""
    wanted = given or args["data_dir"]
    path = Path(wanted).expanduser().resolve() if wanted else None
    if path is not None and path.exists():
        return ["data=folder", f"data.dir={in_hydras_grammar(str(path))}"], []
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
    directory = f"hydra.runtime.output_dir={in_hydras_grammar(str(run_dir))}"
    try:
        config = composed("train", [*overrides, directory])
        HydraConfig.instance().set_config(config)
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        return cast(dict[str, Any], OmegaConf.to_container(own, resolve=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"args.txt asks for what cannot be configured: {error}") from error
    finally:
        HydraConfig.instance().cfg = before
