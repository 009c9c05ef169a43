"""What happens to images, real and painted alike, before they enter the feature network.

A score means nothing without its protocol: between two sets of 128 cats of AFHQ at 64 × 64 the FID
is 41.7 by `png`, 44.4 by `paper`, 43.3 by `clean` and 41.9 by `torch_fidelity`.
"""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fpainter.evaluation.resize import INPUT_SIZE, resize_pillow, resize_pytorch, resize_tensorflow


def check_byte_images(images: Tensor) -> None:
    """Check that `images` are [B C H W] bytes with 1, 3 or 4 channels.

    Args:
        images: what is to be checked.

    Raises:
        TypeError: if the images are not uint8.
        ValueError: if they have another shape.
    """
    if images.dtype != torch.uint8:
        raise TypeError(
            f"images must be uint8 in 0..255, got {images.dtype}: "
            "clamp and round them to bytes first"
        )
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4):
        raise ValueError(
            f"images must be [B C H W] with 1, 3 or 4 channels, got shape {tuple(images.shape)}"
        )


def flatten_alpha(images: Tensor) -> Tensor:
    """Put RGBA images on white: round(α c + (1 − α) 255).

    Args:
        images: [B 4 H W] uint8, α last.

    Returns:
        [B 3 H W] uint8.
    """
    colour, alpha = images[:, :3].int(), images[:, 3:].int()
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).to(torch.uint8)


def prepare_pytorch_fid(images: Tensor, size: int = INPUT_SIZE) -> Tensor:
    """Make the network's input as pytorch-fid: x/255, `resize_pytorch`, 2x − 1.

    Args:
        images: [B C H W] uint8 with 1 or 3 channels.
        size: side of the input in pixels.

    Returns:
        [B 3 size size] float32 in [−1, 1].
    """
    x = images.float().div_(255).expand(-1, 3, -1, -1)
    return 2 * resize_pytorch(x, size) - 1


def prepare_clean_fid(images: Tensor, size: int = INPUT_SIZE) -> Tensor:
    """Make the network's input as clean-fid: `resize_pillow`, clipped to 0..255, (x − 128)/128.

    Args:
        images: [B C H W] uint8 with 1 or 3 channels.
        size: side of the input in pixels.

    Returns:
        [B 3 size size] float32 in [−1, 127/128].
    """
    x = resize_pillow(images.float(), size).clamp_(0, 255)
    return ((x - 128) / 128).expand(-1, 3, -1, -1)


def prepare_torch_fidelity(images: Tensor, size: int = INPUT_SIZE) -> Tensor:
    """Make the network's input as torch-fidelity: `resize_tensorflow`, (x − 128)/128.

    Args:
        images: [B C H W] uint8 with 1 or 3 channels.
        size: side of the input in pixels.

    Returns:
        [B 3 size size] float32 in [−1, 127/128].
    """
    x = resize_tensorflow(images.float(), size)
    return ((x - 128) / 128).expand(-1, 3, -1, -1)


@dataclass(frozen=True)
class Protocol:
    """A named treatment of images, all the way to the input of the feature network.

    Attributes:
        name: as in `fid.protocol` and in the keys of cached statistics.
        transform: [B C H W] uint8 to [B C' H W] uint8 on the same device; what `apply` does.
        prepare: [B C H W] uint8 with 1 or 3 channels to [B 3 299 299] float32, the network's
            input; `load_inception` puts it into the network.
    """

    name: str
    transform: Callable[[Tensor], Tensor] = lambda images: images
    prepare: Callable[[Tensor], Tensor] = prepare_pytorch_fid

    def apply(self, images: Tensor) -> Tensor:
        """Treat a batch as far as it stays bytes.

        Args:
            images: [B C H W] uint8 with 1, 3 or 4 channels.

        Returns:
            [B C' H W] uint8 on the device of `images`.

        Raises:
            TypeError: if the images are not uint8.
            ValueError: if they are not [B C H W] with 1, 3 or 4 channels.
        """
        check_byte_images(images)
        return self.transform(images)


def _through_jpeg(images: Tensor) -> Tensor:
    """Encode and decode each image with Pillow's defaults: quality 75, chroma halved (4:2:0)."""
    if images.shape[1] == 4:
        images = flatten_alpha(images)
    arrays = list(images.permute(0, 2, 3, 1).cpu().contiguous().numpy())
    # Threads pay only where the codec, which runs without the interpreter's lock, has work to do.
    with ThreadPoolExecutor() as pool:
        mapped = pool.map if images[:1].numel() > 3 * 128**2 else map
        decoded = list(mapped(_jpeg_round_trip, arrays))
    if not decoded:
        return images
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).to(images.device)


def _jpeg_round_trip(image: np.ndarray) -> np.ndarray:
    height, width, channels = image.shape
    with io.BytesIO() as file:
        # Pillow stores [H W] as greyscale ("L") and [H W 3] as RGB.
        Image.fromarray(image[:, :, 0] if channels == 1 else image).save(file, format="JPEG")
        with Image.open(file) as decoded:
            return np.array(decoded).reshape(height, width, channels)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        # Images as they are, resized and scaled as pytorch-fid does.
        Protocol("png"),
        # The same after a JPEG round trip, as the paper's images were stored before scoring.
        Protocol("paper", _through_jpeg),
        # Images as they are, as clean-fid's mode "clean" does.
        Protocol("clean", prepare=prepare_clean_fid),
        # Images as they are, as torch-fidelity's inception-v3-compat does.
        Protocol("torch_fidelity", prepare=prepare_torch_fidelity),
    )
}


def get_protocol(name: str) -> Protocol:
    """Return the protocol called `name`.

    Args:
        name: a key of `PROTOCOLS`.

    Returns:
        The protocol.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; allowed: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
