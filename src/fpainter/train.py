"""Train a painter: ``python -m fpainter.train model=lstm_delta_split_v2 data=celeba``."""

import sys

from fpainter.launch.command import launch
from fpainter.launch.continuation import complete_arguments
from fpainter.launch.messages import sentences
from fpainter.launch.processes import arguments_of_process


def main() -> None:
    """Run ``fpainter-train``."""
    with sentences():
        sys.argv[1:] = arguments_of_process(complete_arguments(sys.argv[1:]))
    launch("train", "fpainter.tasks.train:train")


if __name__ == "__main__":
    main()
