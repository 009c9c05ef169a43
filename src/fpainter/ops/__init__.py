"""Pure tensor functions: learning rules and what their factors add up to."""
