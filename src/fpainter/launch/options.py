"""Command lines of key=value pairs, for commands that have no configuration."""

from collections.abc import Mapping, Sequence

from fpainter.errors import UserError


def read_options(
    arguments: Sequence[str], keys: Mapping[str, str], required: Sequence[str], about: str
) -> dict[str, str]:
    """Read key=value pairs; with ``--help`` say which there are, and end.

    Args:
        arguments: the command line, without the program.
        keys: what each key means.
        required: keys that must be given.
        about: what the command does, for ``--help``.

    Raises:
        UserError: if a key is unknown, has no value, or is missing.
    """
    if {"-h", "--help"} & set(arguments):
        meanings = "\n".join(f"  {key:<11} {meaning}" for key, meaning in keys.items())
        print(f"{about}\n\nKeys, given as key=value:\n{meanings}")
        raise SystemExit(0)
    options, known = {}, ", ".join(f"{key}=" for key in keys)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in keys or not value:
            raise UserError(f"{argument}: must be one of these keys, with a value: {known}")
        options[key] = value
    missing = [key for key in required if key not in options]
    if missing:
        raise UserError(f"{missing[0]}= is missing; the keys are {known}")
    return options
