"""Where losses, scores and pictures of a run go."""
