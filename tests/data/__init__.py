"""Tests of `fpainter.data`."""
