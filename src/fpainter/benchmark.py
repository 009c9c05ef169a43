"""Time painting, training and loading: ``python -m fpainter.benchmark what=[painting]``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-benchmark``."""
    launch("benchmark", "fpainter.tasks.benchmark:benchmark")


if __name__ == "__main__":
    main()
