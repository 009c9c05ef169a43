"""Fast Weight Painters: images painted as weight matrices, one rank-1 update at a time."""

__version__ = "0.1.0"
