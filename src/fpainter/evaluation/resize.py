"""The resizes with which published tools bring an image to the input size of Inception v3.

Each function maps float images [B C H W], usually in 0..255, to [B C size size], larger or
smaller. When shrinking, only `resize_pillow` antialiases; `resize_tensorflow` shifts the image by
up to half a pixel of the coarser grid.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

INPUT_SIZE = 299


def resize_pytorch(images: Tensor, size: int = INPUT_SIZE) -> Tensor:
    """Resize as pytorch-fid: bilinear, pixel centres at i + ½, no antialiasing.

    Args:
        images: [B C H W] float.
        size: side of the result in pixels.

    Returns:
        [B C size size].
    """
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False)


def resize_pillow(images: Tensor, size: int = INPUT_SIZE) -> Tensor:
    """Resize as Pillow's `BICUBIC` does in mode "F", that is without rounding to bytes.

    The result leaves the range of `images` at edges; clean-fid clips it afterwards. Equal to Pillow
    to about 1e-4 grey levels in full float32.

    Args:
        images: [B C H W] float.
        size: side of the result in pixels.

    Returns:
        [B C size size].
    """
    return _resize(images, size, _pillow_weights)


def resize_tensorflow(images: Tensor, size: int = INPUT_SIZE) -> Tensor:
    """Resize as TensorFlow 1: bilinear, output i reads position i · H/size, no antialiasing.

    Equal to torch-fidelity's to about 1e-4 grey levels in full float32.

    Args:
        images: [B C H W] float.
        size: side of the result in pixels.

    Returns:
        [B C size size].
    """
    return _resize(images, size, _tensorflow_weights)


def _resize(images: Tensor, size: int, weights: Callable[[int, int], np.ndarray]) -> Tensor:
    """Compute V x Uᵀ with the weights V [size H] and U [size W] of the two axes."""
    vertical, horizontal = (
        # Two steps, because not every device knows float64.
        torch.from_numpy(weights(old, size)).to(images.dtype).to(images.device)
        for old in images.shape[-2:]
    )
    return vertical @ (images @ horizontal.T)


@lru_cache(maxsize=32)
def _pillow_weights(old: int, new: int) -> np.ndarray:
    """Return weights [new old]: Keys' cubic with a = −½, as wide as an output pixel when shrinking.

    w(t) = 3/2 |t|³ − 5/2 t² + 1 for |t| < 1,  −1/2 |t|³ + 5/2 t² − 4 |t| + 2 for |t| < 2,  else 0;
    each row is divided by its sum, which matters at the borders.
    """
    step = old / new
    centres = (np.arange(new) + 0.5) * step
    t = np.abs(np.arange(old) + 0.5 - centres[:, None]) / max(step, 1)
    near = (1.5 * t - 2.5) * t**2 + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


@lru_cache(maxsize=32)
def _tensorflow_weights(old: int, new: int) -> np.ndarray:
    """Return weights [new old]: a triangle around i · old/new, in TensorFlow's float32."""
    positions = np.arange(new, dtype=np.float32) * np.float32(old / new)
    # Past the last pixel there is only the last pixel.
    positions = np.minimum(positions.astype(np.float64), old - 1)
    return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(old)))
