"""Walks: from the latent of one image to the next and back to the first."""

import torch
from torch import Tensor

from fpainter.visualisation.selection import Selection

PATHS = ("spherical", "linear")


def walk_images(selection: Selection, frames_between: int, path: str = "spherical") -> Tensor:
    """Draw the images along a closed walk through the latents of chosen images.

    Args:
        selection: the images passed, at least two.
        frames_between: images between two of them.
        path: as for `interpolate`.

    Returns:
        uint8 [N (frames_between + 1) C H W] on the CPU, the chosen images and those on the way
        from each to the next, the last one's next being the first.
    """
    stations = selection.latents()
    sampler, size = selection.sampler, selection.batch_size
    z = walk_latents(stations, frames_between, path)
    return torch.cat([sampler(part).cpu() for part in z.split(size)])


def walk_latents(stations: Tensor, frames_between: int, path: str = "spherical") -> Tensor:
    """Return the latents of a closed walk [N (frames_between + 1) d] through `stations` [N d].

    Raises:
        ValueError: if there are fewer than two stations or the path is unknown.
    """
    if len(stations) < 2:
        raise ValueError("a walk needs at least two images")
    check_walk(frames_between, path)
    shares = torch.arange(frames_between + 1) / (frames_between + 1)
    ways = zip(stations, stations.roll(-1, dims=0), strict=True)
    return torch.cat([interpolate(start, end, shares, path) for start, end in ways])


def check_walk(frames_between: int, path: str) -> None:
    """Raise ValueError unless there is such a walk."""
    if frames_between < 0:
        raise ValueError(f"frames_between must be at least 0; got {frames_between}")
    if path not in PATHS:
        raise ValueError(f"path must be one of {', '.join(PATHS)}; got {path}")


def interpolate(start: Tensor, end: Tensor, shares: Tensor, path: str = "spherical") -> Tensor:
    """Return latents [S d] between two [d].

    Args:
        start: latent at share 0.
        end: latent at share 1.
        shares: of the way gone, [S] in [0, 1].
        path: ``spherical`` turns the direction at an even pace and changes the length evenly, so
            that it stays as likely as that of drawn latents; ``linear`` goes straight.
    """
    shares = shares[:, None]
    if path == "linear":
        return (1 - shares) * start + shares * end
    lengths = start.norm(), end.norm()
    directions = start / lengths[0], end / lengths[1]
    # The angle between unit vectors, without arccos' loss of digits near 0 and pi.
    angle = 2 * torch.atan2(
        (directions[0] - directions[1]).norm(), (directions[0] + directions[1]).norm()
    )
    if angle.sin() < 1e-6:  # the same direction, or none that lies between
        return (1 - shares) * start + shares * end
    turned = ((1 - shares) * angle).sin() * directions[0] + (shares * angle).sin() * directions[1]
    return turned / angle.sin() * ((1 - shares) * lengths[0] + shares * lengths[1])
