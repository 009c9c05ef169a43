"""What is meant for a person and not for a programmer."""


class UserError(Exception):
    """Something the user gave cannot be used.

    The message says what was wrong, where (file, key, value) and what to do; the entry points
    print it as it is, without a traceback.
    """


def first_line(error: BaseException) -> str:
    """Return what an error says, without the details in the lines below; else its type's name."""
    text = str(error)
    return text.splitlines()[0] if text.strip() else type(error).__name__
