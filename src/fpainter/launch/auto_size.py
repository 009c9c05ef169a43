"""``image_size=auto``: the data decide, before the config is composed."""

import re
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
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
    rest = [each for each in arguments if each != AUTO and re.match(r"[^-].*=|~", each)]
    try:
        parsed = OverridesParser.create().parse_overrides(rest)
        swept = [each for each in parsed if each.is_sweep_override()]
        kept = [str(each.input_line) for each in parsed if not each.is_sweep_override()]
        cfg = composed(config_name, kept)
    except (HydraException, OmegaConfBaseException):
        return arguments, None
    for key in (str(each.key_or_group) for each in swept):
        if key.partition(".")[0] in ("data", "experiment", "image_size"):
            raise UserError(f"{AUTO} looks at one data set; sweep over {key} with sizes in numbers")
    source, size = _source(cfg), as_size(cfg.image_size)
    from fpainter.data.ratios import common_ratio, size_for

    found = common_ratio(source)
    height, width = size_for(found.ratio, size[0] * size[1])
    text = str(height) if height == width else f"[{height},{width}]"
    note = (
        f"{AUTO}: {found.share:.0%} of the {found.looked_at} images of {source.name} looked at are "
        f"about {found.ratio:.3g} times as high as wide: image_size={text}"
    )
    return [f"image_size={text}" if each == AUTO else each for each in arguments], note


def _source(cfg: DictConfig) -> Any:
    """Return the images of a composed config."""
    if (
        OmegaConf.select(cfg, "data._target_") is None
        or OmegaConf.select(cfg, "image_size") is None
    ):
        raise UserError(f"{AUTO} needs data to look at, which this command has not; give numbers")
    if OmegaConf.select(cfg, "warm_start.ckpt") is not None:
        raise UserError(f"{AUTO} goes with new runs only, not with warm_start.ckpt; give numbers")
    if any("image_size" in stage for stage in OmegaConf.select(cfg, "stages") or ()):
        raise UserError(f"{AUTO}: the stages of this run have sizes of their own; give numbers")
    data = cfg.data.copy()
    if "num_reference" in data:
        data.num_reference = min(data.num_reference, _FIRST)
    return instantiate(data).source
