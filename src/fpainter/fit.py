"""Redraw pictures by a learning rule, without a GAN: ``python -m fpainter.fit image=FILE``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-fit``."""
    launch("fit", "fpainter.tasks.fit:fit")


if __name__ == "__main__":
    main()
