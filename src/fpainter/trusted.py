"""Objects built from plain data that came in a file, and not from the user.

A file may name classes of this package and of torch. Those of other modules, such as a learning
rule of your own, are built if the environment variable FPAINTER_TRUST names the module, or a
package it is in: ``FPAINTER_TRUST=my_rules,lab.painters``. What is named there is imported, and run
with whatever arguments a file gives: name your own modules only, never a large library, some part
of which might delete files or start programs when it is asked to.
"""

import importlib
import inspect
import os
import re
from collections.abc import Callable
from typing import Any

from fpainter.errors import UserError

TRUST = "FPAINTER_TRUST"  # the environment variable with modules of the user's
# module.Class or module.Class.constructor, classes with names as this package and torch write them.
_NAME = re.compile(r"([A-Za-z_][\w.]*)\.([A-Z]\w*)(?:\.([a-z]\w*))?")


def build(config: Any, where: str, trusted: tuple[str, ...], constructors: bool = False) -> Any:
    """Build the objects that plain data describes by ``_target_``, innermost first.

    Args:
        config: numbers, strings, lists and dicts; no key but ``_target_`` has a meaning of its own.
        where: the file, for messages.
        trusted: what the modules of the classes must begin with, such as ``torch.nn.``, unless the
            environment variable FPAINTER_TRUST names them.
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
        raise UserError(
            f"{where}: refuses to build {target!r:.200}, which the config asks for"
            + _what_would_help(target)
        )
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
    trusted = (*trusted, *_of_the_user())
    if named is None or not target.startswith(trusted):
        return None
    module, name, constructor = named.groups()
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        if target.startswith(_of_the_user()):
            raise UserError(
                f"cannot import {module}, which {TRUST} names ({error}); run from the folder it is "
                "in, or add that folder to PYTHONPATH"
            ) from error
        return None
    if not inspect.isclass(found) or not f"{found.__module__}.".startswith(trusted):
        return None
    if constructor is None:
        return found
    made = getattr(found, constructor, None)
    return made if constructors and inspect.ismethod(made) else None


def _of_the_user() -> tuple[str, ...]:
    """Return what the names of classes begin with that the user trusts."""
    modules = os.environ.get(TRUST, "").split(",")
    return tuple(f"{module.strip()}." for module in modules if module.strip())


def _what_would_help(target: str) -> str:
    """Return how to allow a class that might be the user's own; nothing for one that is not."""
    named = _NAME.fullmatch(target)
    if named is None or named[1].split(".")[0] in ("fpainter", "torch"):
        return ""
    return (
        f"; if {named[1]} is a module of your own, set the environment variable {TRUST}={named[1]}"
    )
