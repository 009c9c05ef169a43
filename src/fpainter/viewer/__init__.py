"""A page that paints in the browser: ``python -m fpainter.viewer ckpt=PATH``."""
