"""The one exception that is meant for a person and not for a programmer."""


class UserError(Exception):
    """Something the user gave cannot be used.

    The message says what was wrong, where (file, key, value) and what to do; the entry points
    print it as it is, without a traceback.
    """
