"""What `fpainter.benchmark` measures, each against the plainest form of the same mathematics."""
