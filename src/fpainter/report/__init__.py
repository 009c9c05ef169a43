"""Runs compared on one page: ``python -m fpainter.report runs=DIR``."""
