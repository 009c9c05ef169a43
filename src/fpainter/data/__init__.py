"""Images for training: their sources, their cache, and the order they are served in."""
