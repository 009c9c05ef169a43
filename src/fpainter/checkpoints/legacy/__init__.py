"""Checkpoints of the released code."""
