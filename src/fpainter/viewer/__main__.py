"""Watch a painter at work in the browser: ``python -m fpainter.viewer ckpt=PATH``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-viewer``."""
    launch("viewer", "fpainter.tasks.viewer:viewer")


if __name__ == "__main__":
    main()
