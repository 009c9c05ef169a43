"""Objects built from plain data that came in a file, and not from the user."""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from fpainter.errors import UserError

# module.Class or module.Class.constructor, with names as this package and torch write them.
_NAME = re.compile(r"([a-z][a-z0-9_.]*)\.([A-Z]\w*)(?:\.([a-z]\w*))?")


def build(config: Any, where: str, trusted: tuple[str, ...], constructors: bool = False) -> Any:
    """Build the objects that plain data describes by ``_target_``, innermost first.

    Args:
        config: numbers, strings, lists and dicts; no key but ``_target_`` has a meaning of its own.
        where: the file, for messages.
        trusted: what the modules of the classes must begin with, such as ``torch.nn.``.
        constructors: whether the classmethods of such a class may be named, too.

    Returns:
        The same lists and dicts, with an object for each dict that has a ``_target_``.

    Raises:
        UserError: if it names anything else, or a class refuses its arguments.
    """
    if isinstance(config, list):
        return [build(entry, where, trusted, constructors) for entry in config]
    if not isinstance(config, dict):
        return config
    if "_target_" not in config:
        return {key: build(value, where, trusted, constructors) for key, value in config.items()}
    target = str(config["_target_"])
    make = _find(target, trusted, constructors)
    if make is None:
        raise UserError(f"{where}: refuses to build {target!r:.200}, which the config asks for")
    arguments = {key: value for key, value in config.items() if key != "_target_"}
    try:
        return make(**build(arguments, where, trusted, constructors))
    except (UserError, OSError):  # they are about something else that the user can mend
        raise
    except Exception as error:  # whatever numbers of any size and sign lead to
        raise UserError(f"{where}: cannot build {target}: {str(error)[:300]}") from error


def _find(target: str, trusted: tuple[str, ...], constructors: bool) -> Callable[..., Any] | None:
    """Find a class, or a classmethod of one, by its dotted name; None if it is not trusted.

    The name alone does not tell: it may reach anything that a trusted module has imported.
    """
    named = _NAME.fullmatch(target)
    if named is None or not target.startswith(trusted):
        return None
    module, name, constructor = named.groups()
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    if not inspect.isclass(found) or not f"{found.__module__}.".startswith(trusted):
        return None
    if constructor is None:
        return found
    made = getattr(found, constructor, None)
    return made if constructors and inspect.ismethod(made) else None
