"""Penalties on the discriminator's gradient at the images it judges."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from fpainter.nn.sizes import check_number, check_whole


class InputGradientPenalty(ABC):
    """What the gradient penalties share: when they are due, and the gradient itself.

    Args:
        weight: factor on the penalty.
        every: applied at iterations 0, every, 2·every, ...
        fakes: applied to the fakes, too, with the same weight.

    Raises:
        ValueError: if `every` is not positive, or the weight negative.
    """

    def __init__(self, weight: float, every: int, fakes: bool = False) -> None:
        check_whole("every", every)
        check_number("weight", weight, zero=True)
        self.weight = weight
        self.every = every
        self.fakes = fakes

    def due(self, iteration: int) -> bool:
        """Say whether the penalty applies at this iteration, counted from 0."""
        return iteration % self.every == 0

    def __call__(self, logits: tuple[Tensor, ...], images: Tensor) -> Tensor:
        """Return the weighted penalty, a scalar with a graph.

        Args:
            logits: one tensor [B L] per head, computed from `images`.
            images: reals or fakes [B C H W], which must require a gradient.
        """
        total = torch.stack([head.float().sum() for head in logits]).sum()
        (gradient,) = torch.autograd.grad(total, images, create_graph=True)
        return self.weight * self.penalty(gradient.flatten(1))

    @abstractmethod
    def penalty(self, gradient: Tensor) -> Tensor:
        """Return the unweighted penalty for the gradient of each image [B C·H·W]."""


class UnitGradient(InputGradientPenalty):
    """Pull the gradient's norm to one: ``weight · mean (‖∇_x Σ logits‖₂ - 1)²``.

    The weight is not multiplied by `every`. Source: the released code (weight 10, every 4).
    """

    def __init__(self, weight: float = 10.0, every: int = 4) -> None:
        super().__init__(weight, every)

    def penalty(self, gradient: Tensor) -> Tensor:
        """Return ``mean (‖g‖ - 1)²``."""
        return (gradient.norm(dim=1) - 1).square().mean()


class R1(InputGradientPenalty):
    """Shrink the gradient: ``gamma / 2 · mean ‖∇_x Σ logits‖²``, times `every` when lazy.

    Args:
        gamma: strength as if applied at every iteration.
        every: interval; the penalty is multiplied by it, so that the mean strength stays.
        fakes: add the same for fakes, which is R2.

    Source: Mescheder et al. 2018; lazy as in Karras et al. 2020 (StyleGAN2); on reals and fakes as
    in Huang et al. 2024 (R3GAN).
    """

    def __init__(self, gamma: float = 1.0, every: int = 4, fakes: bool = False) -> None:
        check_number("gamma", gamma, zero=True)
        super().__init__(gamma / 2 * every, every, fakes)

    def penalty(self, gradient: Tensor) -> Tensor:
        """Return ``mean ‖g‖²``."""
        return gradient.square().sum(dim=1).mean()
