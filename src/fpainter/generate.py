"""Paint images from a checkpoint: ``python -m fpainter.generate ckpt=PATH num_images=64``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-generate``."""
    launch("generate", "fpainter.tasks.generate:generate")


if __name__ == "__main__":
    main()
