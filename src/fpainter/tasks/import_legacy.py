"""A file of the original code, of StyleGAN2 or of GANsformer becomes a checkpoint of ours."""

import logging
import re
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch.optim import Optimizer

from fpainter.checkpoints.legacy import checkpoint as legacy
from fpainter.checkpoints.legacy.arguments import read_arguments, translate
from fpainter.checkpoints.legacy.baselines import load_plain
from fpainter.checkpoints.legacy.plain import UNTOLD, read_plain, settings_of
from fpainter.checkpoints.record import in_hydras_grammar, record
from fpainter.errors import UserError, first_line
from fpainter.launch.configs import composed
from fpainter.training.gan_module import GANModule
from fpainter.training.phases import PLAYERS


def import_legacy(options: dict[str, str]) -> list[str]:
    """Write one of our checkpoints with all that another code's file holds.

    Args:
        options: by the names in `fpainter.import_legacy.KEYS`, and settings of the model.

    Returns:
        The lines of a summary.

    Raises:
        UserError: if a file cannot be used or the files do not fit each other.
    """
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    output = Path(options["output"]).expanduser().resolve()
    if output.exists() and options.get("overwrite") != "true":
        raise UserError(f"output={output}: exists; overwrite=true replaces it")
    lines = (_original if "args" in options else _plain)(options, output)
    return [
        *lines,
        f"written to {output}; next:",
        *(f"  python -m fpainter.{name} ckpt={output}" for name in ("generate", "eval", "train")),
    ]


def _original(options: dict[str, str], output: Path) -> list[str]:
    """Take a checkpoint of the original code; return the lines of a summary."""
    for key in options:
        if key.startswith("model"):
            raise UserError(f"{key}={options[key]}: the model is that of args={options['args']}")
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
    data, remark = _data_overrides(options.get("data_dir") or args["data_dir"], options)
    remarks += remark
    overrides = translate(args) + data
    config = compose(overrides, output.parent)
    module = _built(config, f"args={options['args']}")
    legacy.load_weights(module, original, args, args_txt.name)
    module.iteration, source = _iteration(options) or original.iteration()
    optimisers = module.configure_optimizers()
    for player, optimiser in zip(PLAYERS, optimisers, strict=True):
        part = module.get_submodule(player)
        missing = legacy.load_adam(optimiser, player, part, original, args)
        if missing:
            remarks.append(
                f"{missing} parameters of {player} have no state of Adam in the file and start "
                "without"
            )
    _write(output, module, optimisers, config, overrides)
    num_tensors = sum(len(tensors) for tensors in original.tensors.values())
    return [
        f"{args['model_type']}: {module.sizes()}",
        f"{num_tensors} tensors taken, {original.num_dropped} second names and constants left out; "
        "the sign of the discriminator's last layers turned (here a high logit means real)",
        f"iteration {module.iteration} ({source})",
        *(f"note: {remark}" for remark in remarks),
    ]


def _plain(options: dict[str, str], output: Path) -> list[str]:
    """Take state dicts of StyleGAN2 or GANsformer; return the lines of a summary."""
    if "config" in options:
        raise UserError(f"config={options['config']}: belongs to args=, which is not given")
    players = read_plain(Path(options["checkpoint"]).expanduser())
    settings = settings_of(players)
    given = {key: value for key, value in options.items() if key.startswith("model")}
    settings |= {"model": given.pop("model", settings["model"])}
    found = [f"{key}={in_hydras_grammar(value)}" for key, value in settings.items()]
    data, remarks = _data_overrides(options.get("data_dir"), options)
    overrides = [*found, *data, *(f"{key}={value}" for key, value in given.items())]
    config = compose(overrides, output.parent, f"checkpoint={options['checkpoint']}")
    module = _built(config, "model")
    num_taken, left_out = 0, set[str]()
    for player, state in players.items():
        idle = load_plain(module.get_submodule(player), state)
        num_taken += len(state) - len(idle)
        left_out |= {re.sub(r".*\.(?!weight|bias)", "", name) for name in idle}
    if "discriminator" not in players:
        remarks.append("there is no D in the file: training would begin with a new one")
    if settings["model"] in UNTOLD:
        untold = UNTOLD[settings["model"]]
        remarks.append(f"tensors do not tell model.generator.synthesis' {untold}")
    remarks.append("there are no states of Adam in the file, and training would start without")
    module.iteration, source = _iteration(options) or (0, "not known")
    _write(output, module, module.configure_optimizers(), config, overrides)
    return [
        f"{settings['model']}, {settings['image_size']}×{settings['image_size']} pixels: "
        f"{module.sizes()}",
        f"{num_taken} tensors taken; left out, because computed or without effect: "
        f"{', '.join(sorted(left_out)) or 'none'}",
        f"iteration {module.iteration} ({source})",
        *(f"note: {remark}" for remark in remarks),
    ]


def _built(config: dict[str, Any], where: str) -> GANModule:
    try:
        return cast(GANModule, hydra.utils.instantiate(config["model"]))
    except HydraException as error:
        raise UserError(f"{where}: {error.__cause__ or error}") from error


def _iteration(options: dict[str, str]) -> tuple[int, str] | None:
    """Return the number of iterations that is given, and where it comes from."""
    given = options.get("iteration")
    if given is None:
        return None
    if not given.isdecimal():
        raise UserError(f"iteration={given}: must be a whole number, 0 or more")
    return int(given), "as given"


def _write(
    output: Path,
    module: GANModule,
    optimisers: list[Optimizer],
    config: dict[str, Any],
    overrides: list[str],
) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    run = record(config, overrides)
    legacy.write_checkpoint(output, module, optimisers, config["batch_size"], run)


def _data_overrides(wanted: str | None, options: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return overrides that name the training images, and remarks if they cannot."""
    path = Path(wanted).expanduser().resolve() if wanted else None
    if path is not None and path.exists():
        return ["data=folder", f"data.dir={in_hydras_grammar(str(path))}"], []
    if "data_dir" in options:
        raise UserError(f"data_dir={wanted}: there is no such folder or file")
    missing = f"data_dir={wanted} does not exist here" if wanted else "the images are not known"
    return ["data=folder"], [f"{missing}: give eval and train data.dir=PATH"]


def compose(overrides: list[str], run_dir: Path, where: str = "args.txt") -> dict[str, Any]:
    """Compose and resolve the config of a training run, as its record keeps it.

    Args:
        overrides: of ``configs/train.yaml``.
        run_dir: the run directory.
        where: they come from, for messages.

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
        raise UserError(
            f"{where} asks for what cannot be configured: {first_line(error)}"
        ) from error
    finally:
        HydraConfig.instance().cfg = before
