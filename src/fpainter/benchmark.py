"""Time painting, training and loading: ``python -m fpainter.benchmark what=[painting]``."""

import sys

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-benchmark``."""
    launch("benchmark", "fpainter.tasks.benchmark.benchmark", sys.argv[1:])


if __name__ == "__main__":
    main()
