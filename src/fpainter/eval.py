"""Score checkpoints or images: ``python -m fpainter.eval ckpt=PATH metrics=[fid,kid]``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-eval``."""
    launch("eval", "fpainter.tasks.eval:evaluate")


if __name__ == "__main__":
    main()
