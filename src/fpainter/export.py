"""Write a painter to give away: ``python -m fpainter.export ckpt=PATH output=DIR``."""

import sys

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-export``."""
    launch("export", "fpainter.tasks.export.export", sys.argv[1:])


if __name__ == "__main__":
    main()
