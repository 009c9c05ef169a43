"""Scores from features, and measures of paintings."""
