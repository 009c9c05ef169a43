"""Write a painter to give away: ``python -m fpainter.export ckpt=PATH output=DIR``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-export``."""
    launch("export", "fpainter.tasks.export:export")


if __name__ == "__main__":
    main()
