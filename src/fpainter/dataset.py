"""Pack images into one file: ``python -m fpainter.dataset source=PATH output=FILE.zip``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-dataset``."""
    launch("dataset", "fpainter.tasks.dataset:dataset")


if __name__ == "__main__":
    main()
