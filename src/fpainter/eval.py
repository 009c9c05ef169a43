"""Score checkpoints or images: ``python -m fpainter.eval ckpt=PATH metrics=[fid,kid]``."""

import sys

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-eval``."""
    launch("eval", "fpainter.tasks.eval.evaluate", sys.argv[1:])


if __name__ == "__main__":
    main()
