"""Tests of fpainter.evaluation."""
