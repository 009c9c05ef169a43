"""Compute the statistics of real images: ``python -m fpainter.stats data=celeba fid=paper``."""

from fpainter.launch.command import launch


def main() -> None:
    """Run ``fpainter-stats``."""
    launch("stats", "fpainter.tasks.stats:stats")


if __name__ == "__main__":
    main()
