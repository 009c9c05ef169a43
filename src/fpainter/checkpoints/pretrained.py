"""What the model cards of painters that were exported earlier import."""

from fpainter.generators.pretrained import load_pretrained

__all__ = ["load_pretrained"]
