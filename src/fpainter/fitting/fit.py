"""Instructions optimised until a learning rule redraws given pictures."""

import math

import torch
from torch import Tensor

from fpainter.generators.painter import FastWeightPainter
from fpainter.progress import Report

BETAS = (0.9, 0.99)


def fit_numbers(
    painter: FastWeightPainter,
    targets: Tensor,
    iterations: int,
    lr: float,
    early: float = 0.0,
    report: Report | None = None,
    what: str = "fitting",
) -> None:
    """Move a painter's numbers until it paints the targets: Adam, the rate falling as a cosine.

    The loss is the sum of squared differences, of finished canvases and, `early` times, of
    unfinished ones. Pictures do not touch each other: each is fitted as if it were alone.

    Args:
        painter: of `written_painter`; its parameters are changed.
        targets: pictures [N C H W] in the image range, one for each of the painter's latents.
        iterations: steps of Adam, at least 1.
        lr: the first learning rate, positive.
        early: weight of the canvases after 1, 2, 4, ... steps, so that the picture comes about
            from the rough to the fine; 0: they may look like anything.
        report: is told how many iterations are done.
        what: it is told is being done.

    Raises:
        ValueError: if the pictures are further away in the end than at the beginning.
    """
    z = torch.eye(len(targets)).to(targets)
    num_steps = painter.num_steps
    steps = [2**i for i in range(num_steps.bit_length()) if 2**i < num_steps] if early else []
    optimiser = torch.optim.Adam(painter.parameters(), lr, BETAS)
    first = last = 0.0
    for done in range(iterations):
        if report is not None:
            report(what, done, iterations)
        optimiser.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * done / iterations)) / 2
        seen = painter.activate(painter.paint(z).canvases([*steps, num_steps]))  # [N S C H W]
        apart = (seen - targets[:, None]).square().sum(dim=(0, 2, 3, 4))
        loss = apart[-1] + early * apart[:-1].sum()
        last = loss.item()
        first = last if done == 0 else first
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    if report is not None:
        report(what, iterations, iterations)
    # NaN is further away, too.
    if not last <= first:
        raise ValueError(
            f"the fit went further away from the pictures; a smaller lr than {lr} helps"
        )


def best_rank(images: Tensor, rank: int) -> Tensor:
    """Return the best approximation of each channel by a matrix of some rank.

    The truncated singular value decomposition: no T rank-1 steps on an empty canvas come nearer
    to a channel in squares, whatever the learning rule (Eckart & Young 1936).

    Args:
        images: [... H W].
        rank: at least 1; from the shorter side on, the images are returned as they are.
    """
    u, s, v = torch.linalg.svd(images.double(), full_matrices=False)
    return ((u[..., :rank] * s[..., None, :rank]) @ v[..., :rank, :]).to(images.dtype)
