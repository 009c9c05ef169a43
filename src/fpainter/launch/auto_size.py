"""``image_size=auto``: the data decide, before the config is composed."""

import re
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fpainter.errors import UserError
from fpainter.launch.configs import composed
from fpainter.nn.sizes import as_size

AUTO = "image_size=auto"
_FIRST = 1000  # images of a stream that are looked at


def with_image_size(config_name: str, arguments: list[str]) -> tuple[list[str], str | None]:
    """Put numbers in the place of ``image_size=auto``, so that a run stores and repeats these.

    The sides have the most common aspect ratio of the data and about as many pixels as the images
    would have had without it.

    Args:
        config_name: a file in ``configs/``.
        arguments: the command line's overrides and flags.

    Returns:
        The same, completed, and a line for the log; unchanged and None without ``auto``, or if
        Hydra will refuse the command line.

    Raises:
        UserError: if there are no data to take it from, or other settings depend on the size.
    """
    if AUTO not in arguments:
        return arguments, None
    cfg = looking_config(AUTO, config_name, [each for each in arguments if each != AUTO])
    if cfg is None:
        return arguments, None
    if any("image_size" in stage for stage in OmegaConf.select(cfg, "stages") or ()):
        raise UserError(f"{AUTO}: the stages of this run have sizes of their own; give numbers")
    source, size = source_of(cfg, AUTO), as_size(cfg.image_size)
    from fpainter.data.ratios import common_ratio, size_for

    found = common_ratio(source)
    height, width = size_for(found.ratio, size[0] * size[1])
    text = str(height) if height == width else f"[{height},{width}]"
    note = (
        f"{AUTO}: {found.share:.0%} of the {found.looked_at} images of {source.name} looked at are "
        f"about {found.ratio:.3g} times as high as wide: image_size={text}"
    )
    return [f"image_size={text}" if each == AUTO else each for each in arguments], note


def parsed(arguments: list[str]) -> list[Override]:
    """Return the overrides of a command line; flags are left out.

    Raises:
        HydraException: if Hydra will refuse the command line.
    """
    texts = [each for each in arguments if re.match(r"[^-].*=|~", each)]
    overrides: list[Override] = OverridesParser.create().parse_overrides(texts)
    return overrides


def looking_config(auto: str, config_name: str, arguments: list[str]) -> DictConfig | None:
    """Compose the config in which an override finds the data that it looks at.

    Args:
        auto: the override, such as ``image_size=auto``, for messages.
        config_name: a file in ``configs/``.
        arguments: overrides and flags; what is swept over is left out.

    Returns:
        The config; None if Hydra will refuse the command line.

    Raises:
        UserError: if a sweep is over what the override looks at.
    """
    try:
        overrides = parsed(arguments)
        swept = [each for each in overrides if each.is_sweep_override()]
        kept = [str(each.input_line) for each in overrides if not each.is_sweep_override()]
        cfg = composed(config_name, kept)
    except (HydraException, OmegaConfBaseException):
        return None
    for key in (str(each.key_or_group) for each in swept):
        if key.partition(".")[0] in ("data", "experiment", "image_size"):
            raise UserError(f"{auto} looks at one data set; sweep over {key} with sizes in numbers")
    return cfg


def source_of(cfg: DictConfig, auto: str) -> Any:
    """Return the images of a composed config; of a stream, the first.

    Args:
        cfg: from `looking_config`.
        auto: the override that looks at them, for messages.

    Raises:
        UserError: if there are none, or the run begins with another's weights.
    """
    if (
        OmegaConf.select(cfg, "data._target_") is None
        or OmegaConf.select(cfg, "image_size") is None
    ):
        raise UserError(f"{auto} needs data to look at, which this command has not; give numbers")
    if OmegaConf.select(cfg, "warm_start.ckpt") is not None:
        raise UserError(f"{auto} goes with new runs only, not with warm_start.ckpt; give numbers")
    data = cfg.data.copy()
    if "num_reference" in data:
        data.num_reference = min(data.num_reference, _FIRST)
    return instantiate(data).source
