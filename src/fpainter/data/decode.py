"""From any picture Pillow can open to a uint8 array of one fixed size."""

import numpy as np
from PIL import Image, ImageOps

RENDER_VERSION = "1"
"""Part of every cache key: raise it whenever `render` gives other pixels for the same picture."""

CROPS = ("centre", "random", "pad")
"""How a picture of another shape gets its size: see `render`."""

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def check_channels(channels: int) -> int:
    """Return `channels` if images can have that many.

    Raises:
        ValueError: if it is not 1 (grey), 3 (RGB) or 4 (RGBA).
    """
    if isinstance(channels, bool) or channels not in _MODES:
        raise ValueError(f"channels must be 1 (grey), 3 (RGB) or 4 (RGBA), got {channels!r}")
    return channels


def check_crop(crop: str) -> str:
    """Return `crop` if it is one of `CROPS`.

    Raises:
        ValueError: if it is not.
    """
    if crop not in CROPS:
        raise ValueError(f"crop must be one of {', '.join(CROPS)}, got {crop!r}")
    return crop


def render(
    image: Image.Image, size: tuple[int, int], channels: int, crop: str = "centre"
) -> np.ndarray:
    """Turn a picture upright, convert its colours, and give it a size.

    A square target gives the very pixels of torchvision's `Resize(size)` and `CenterCrop(size)`
    on PIL images (bilinear, antialiased). Transparency is laid over white for 1 and 3 channels
    and kept for 4. Samples of more than 8 bits are scaled, not clipped: see `_to_8_bits`.

    Args:
        image: the picture, of any mode, loaded or not, which is itself turned upright; of an
            animation, the current frame.
        size: (height, width) of the result, both positive.
        channels: 1 (grey, ITU-R 601 luma), 3 (RGB) or 4 (RGBA).
        crop: ``centre`` scales the picture to cover `size` and cuts the rest off on both sides;
            ``random`` cuts nothing off, so that `crop_at` can, anywhere; ``pad`` scales all of it
            to fit into `size`, with borders in the mean colour of the edges that they touch.

    Returns:
        uint8 [C H W], contiguous; with ``random`` one of its sides may be longer.

    Raises:
        ValueError: if `channels` or `crop` is none of these, the picture is so long and narrow that
            covering `size` would take a huge image, or float samples are not finite.
        PIL.Image.DecompressionBombError: if the picture has more than Pillow's
            `MAX_IMAGE_PIXELS` pixels (Pillow itself only warns up to twice that).
        OSError: if the file is truncated or damaged.
    """
    check_channels(channels)
    check_crop(crop)
    _refuse_huge(image.size, "the picture is")
    # All of the file is decoded here, so damage anywhere in it shows up now.
    image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        # Whatever is wrong with the EXIF block (Pillow raises half a dozen types), the pixels
        # are already decoded and good.
        pass
    image = _convert(image, channels)
    if crop == "pad":
        image = image.resize(_inside(image.size, size), Image.Resampling.BILINEAR)
        return _padded(_planes(image, channels), size)
    cover = _cover(image.size, size)
    _refuse_huge(cover, "it is so narrow that covering the target takes")
    pixels = _planes(image.resize(cover, Image.Resampling.BILINEAR), channels)
    return np.ascontiguousarray(pixels if crop == "random" else crop_at(pixels, size))


def crop_at(pixels: np.ndarray, size: tuple[int, int], place: float = 0.5) -> np.ndarray:
    """Return a view of an image that covers a size, cut to it.

    Args:
        pixels: [C H W].
        size: (height, width), neither longer than the image's.
        place: from 0, the left or top end, to 1; ½ is the centre.
    """
    # Rounded as torchvision's CenterCrop.
    top, left = (
        round((have - want) * place) for have, want in zip(pixels.shape[1:], size, strict=True)
    )
    return pixels[:, top : top + size[0], left : left + size[1]]


def _planes(image: Image.Image, channels: int) -> np.ndarray:
    """Return a picture's bytes as [C H W]."""
    return np.asarray(image).reshape(image.height, image.width, channels).transpose(2, 0, 1)


def _inside(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) of the scaled picture that just fits into `size`."""
    (w, h), (height, width) = image_size, size
    if width * h <= height * w:
        return width, max(1, round(width * h / w))
    return max(1, round(height * w / h)), height


def _padded(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Put an image into the middle of a larger one, of which it has one side already."""
    _, height, width = pixels.shape
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    result = np.empty((len(pixels), *size), np.uint8)
    ends = (pixels[:, 0], pixels[:, -1]) if height < size[0] else (pixels[..., 0], pixels[..., -1])
    before, after = (np.rint(end.mean(axis=1))[:, None, None] for end in ends)
    result[:, :top] = result[..., :left] = before
    result[:, top + height :] = result[..., left + width :] = after
    result[:, top : top + height, left : left + width] = pixels
    return result


def _refuse_huge(size: tuple[int, int], what: str) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise Image.DecompressionBombError(
            f"{what} {size[0]}×{size[1]} pixels, more than the {limit} allowed"
        )


def _cover(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) of the scaled picture that just covers `size` (height, width)."""
    (w, h), (height, width) = image_size, size
    # The side that binds gets its target exactly; the other one truncates as torchvision does.
    if width * h >= height * w:
        return width, max(height, int(width * h / w))
    return max(width, int(height * w / h)), height


def _convert(image: Image.Image, channels: int) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if channels != 4:
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, image)
    if image.mode not in ("1", "L", "RGB", "RGBA"):
        # CMYK, YCbCr, LAB, HSV and palettes have no direct way to L or RGBA.
        image = image.convert("RGB")
    return image.convert(_MODES[channels])


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale wide grey samples to 8 bits.

    16-bit modes and mode I within 0..65535 (Pillow's way of holding 16 bits): 65535 becomes 255.
    Mode F within 0..1: 1 becomes 255; within 0..255: rounded. Anything else has no known white,
    so its own minimum and maximum become 0 and 255.
    """
    samples = np.asarray(image)
    if not np.isfinite(samples).all():
        raise ValueError("the picture has NaN or infinite samples")
    low, high = float(samples.min()), float(samples.max())
    known = [1.0, 255.0] if image.mode == "F" else [65535.0]
    white = next((white for white in known if low >= 0 and high <= white), None)
    black = 0.0 if white is not None else low
    white = white or high - low or 1.0
    result = np.empty(samples.shape, np.uint8)
    # Row by row, because float64 copies of the largest pictures take gigabytes.
    for row, wide in zip(result, samples, strict=True):
        row[:] = np.rint((wide.astype(np.float64) - black) * (255.0 / white))
    return Image.fromarray(result)
