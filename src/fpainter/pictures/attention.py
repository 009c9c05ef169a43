"""Where the local latents of a GANsformer are attended to, as colours over the image."""

import colorsys

import torch
from PIL import Image, ImageOps
from torch import Tensor

from fpainter.generators.sampler import Sampler, evaluating
from fpainter.generators.synthesis.layers import SynthesisLayer
from fpainter.pictures.grids import LABEL_HEIGHT, as_rgb, beside, grid, labelled, margin, stack
from fpainter.pictures.styles import paint_styles, synthesis_of

STRENGTH = 0.75  # of a colour where attention is strongest


def attending_sizes(sampler: Sampler) -> list[tuple[int, int]]:
    """Return (H, W) of the maps of each layer that attends to local latents.

    Raises:
        ValueError: if there are none.
    """
    layers = synthesis_of(sampler).modules()
    attending = [x for x in layers if isinstance(x, SynthesisLayer) and x.attention is not None]
    if not attending:
        raise ValueError(
            "this generator has no local latents to attend to; those of model=gansformer_simplex "
            "and gansformer_duplex have"
        )
    return [layer.positions.size for layer in attending]


def attention_of(sampler: Sampler, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return images uint8 [B C H W] and the attention [B n A H W] of n latents in A layers.

    Attention is averaged over heads, and enlarged by nearest pixels.

    Args:
        sampler: of a generator that attends.
        w: styles [B L d_style] on its device.
    """
    synthesis = synthesis_of(sampler)
    with evaluating(synthesis):
        maps = synthesis.attention_maps(w).mean(dim=3)
    return sampler.image_range.to_bytes(paint_styles(sampler, w)).cpu(), maps.float().cpu()


def draw_components(
    image: Tensor, maps: Tensor, sizes: list[tuple[int, int]], scale: int = 1
) -> Image.Image:
    """Draw a row for each latent and a column for each layer: its attention over the image.

    A latent's colour is fullest where the layer attends most to any latent. At the left stands
    the image; the last row has all latents together, each pixel in the mixture of their colours.

    Args:
        image: uint8 [C H W].
        maps: attention [n A H W].
        sizes: (H, W) of the layers' own maps, A, written below.
        scale: enlargement by whole pixels.
    """
    rows = [f"{number}" for number in range(len(maps))]
    strongest = maps.amax(dim=(0, 2, 3), keepdim=True).clamp_min(1e-12)
    colours = component_colours(len(maps))[:, None, :, None, None]  # [n 1 3 1 1]
    cells = _over(image, colours, (maps / strongest)[:, :, None])
    cells = torch.cat([cells, mixture(image, maps)[None]])
    first = as_rgb(image).expand(len(cells), 1, -1, -1, -1)
    columns = 1 + len(sizes)
    table = grid(torch.cat([first, cells], dim=1).flatten(0, 1), columns, 1, scale)
    names = ImageOps.expand(margin([*rows, "all"], table), (0, 0, 0, LABEL_HEIGHT), fill="white")
    labels = ["image", *(f"{height}x{width}" for height, width in sizes)]
    return beside([names, labelled(table, labels)])


def mixture(image: Tensor, maps: Tensor) -> Tensor:
    """Return an image under the colours of all latents, by their shares, uint8 [A 3 H W].

    Args:
        image: uint8 [C H W].
        maps: attention [n A H W].
    """
    shares = maps / maps.sum(dim=0).clamp_min(1e-12)
    colours = torch.einsum("nahw,nc->achw", shares, component_colours(len(maps)))
    return _over(image, colours, torch.ones(1))


def draw_mixtures(images: Tensor, maps: Tensor, scale: int = 1) -> Image.Image:
    """Draw a row for each image: it, and the latents' colours over it in each layer.

    Args:
        images: uint8 [B C H W].
        maps: attention [B n A H W].
        scale: enlargement by whole pixels.
    """
    rows = [
        grid(torch.cat([as_rgb(image)[None], mixture(image, own)]), 1 + own.shape[1], 1, scale)
        for image, own in zip(images, maps, strict=True)
    ]
    return stack(rows)


def component_colours(num: int) -> Tensor:
    """Return a colour for each latent, hues evenly spread, [num 3] in 0..255."""
    hues = [colorsys.hsv_to_rgb(index / num, 0.9, 1 - 0.3 * (index % 2)) for index in range(num)]
    return 255 * torch.tensor(hues)


def _over(image: Tensor, colours: Tensor, strength: Tensor) -> Tensor:
    """Lay colours [... 3 H W], as strongly as [... 1 H W] in [0, 1] says, over an image in grey."""
    grey = as_rgb(image).float().mean(dim=0, keepdim=True)
    # Lightness is kept, or a strong colour would hide what it lies on.
    tinted = colours * (0.35 + 0.65 * grey / 255)
    mixed = grey + STRENGTH * strength * (tinted - grey)
    return mixed.round().clamp(0, 255).to(torch.uint8)
