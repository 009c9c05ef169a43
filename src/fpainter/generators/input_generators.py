"""From one latent to one input per painting step: the paper's InputGenerator (section 3.1)."""

from collections.abc import Mapping

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from fpainter.nn.activations import ACTIVATIONS, check_choice
from fpainter.nn.init import kaiming_


class RepeatLatent(nn.Module):
    """Version 1: every step reads the latent itself, so any number of steps can be painted.

    Args:
        d_latent: size of z; also the size of each step's input (`d_input`).
        num_steps: painting steps T.
        step_embedding: add a learned vector per step, drawn from N(0, 1).

    Raises:
        ValueError: if there is no step.

    Source: Irie & Schmidhuber 2023, section 3.1 (v1).
    """

    def __init__(self, d_latent: int, num_steps: int, step_embedding: bool = False) -> None:
        super().__init__()
        _check_steps(num_steps)
        self.d_latent = self.d_input = d_latent
        self.num_steps = num_steps
        self.step_embedding = _learned_vectors(num_steps, d_latent) if step_embedding else None

    def forward(self, z: Tensor) -> Tensor:
        """Map z [B d_latent] to x [B T d_input]."""
        x = repeat(z, "b d -> b t d", t=self.num_steps)
        return x if self.step_embedding is None else x + self.step_embedding


class SplitLatent(nn.Module):
    """The latent itself, cut into one slice per step; a shared linear layer widens the slices.

    ``x_t = W' z[(t-1) d_slice : t d_slice] + b'``: each step is drawn independently of the others.

    Args:
        d_latent: size of z, a multiple of `num_steps`.
        num_steps: painting steps T.
        d_slice: size of a step's slice; None means ``d_latent / num_steps``, the only size there
            can be.
        d_input: size of a step's input.
        step_embedding: add a learned vector per step, drawn from N(0, 1).

    Raises:
        ValueError: if there is no step, or T slices do not make up the latent.

    Source: ``lstm_delta_split`` of the released code, the forerunner of the paper's v2.
    """

    def __init__(
        self,
        d_latent: int,
        num_steps: int,
        d_slice: int | None = None,
        d_input: int = 128,
        step_embedding: bool = False,
    ) -> None:
        super().__init__()
        _check_steps(num_steps)
        d_slice = d_latent // num_steps if d_slice is None else d_slice
        if d_slice < 1 or d_latent != num_steps * d_slice:
            raise ValueError(
                f"d_latent must be num_steps x d_slice = {num_steps} x {d_slice} = "
                f"{num_steps * d_slice}, d_slice at least 1; got d_latent {d_latent}"
            )
        self.d_latent = d_latent
        self.num_steps = num_steps
        self.d_input = d_input
        self.to_input = nn.Linear(d_slice, d_input)
        kaiming_(self.to_input)
        self.step_embedding = _learned_vectors(num_steps, d_input) if step_embedding else None

    def forward(self, z: Tensor) -> Tensor:
        """Map z [B d_latent] to x [B T d_input]."""
        x = self.to_input(rearrange(z, "b (t d) -> b t d", t=self.num_steps))
        return x if self.step_embedding is None else x + self.step_embedding


class ProjectLatent(nn.Module):
    """Version 2: a linear layer gives each step its slice, a shared one widens the slice.

    ``slices = activation(W z + b)`` split into T parts of `d_slice`; ``x_t = W' slice_t + b'``.

    Args:
        d_latent: size of z.
        num_steps: painting steps T.
        d_slice: size of a step's slice (the paper's d_in).
        d_input: size of a step's input (the paper's d_in').
        slice_activation: ``identity`` or ``tanh`` ("Input Gen. tanh" in the paper's Table 3).
        step_embedding: add a learned vector per step, drawn from N(0, 1).

    Raises:
        ValueError: if there is no step.

    Source: Irie & Schmidhuber 2023, section 3.1 (v2) and appendix B.2.
    """

    def __init__(
        self,
        d_latent: int,
        num_steps: int,
        d_slice: int = 8,
        d_input: int = 128,
        slice_activation: str = "identity",
        step_embedding: bool = False,
    ) -> None:
        super().__init__()
        _check_steps(num_steps)
        self.d_latent = d_latent
        self.num_steps = num_steps
        self.d_input = d_input
        self.slice_activation = check_choice("slice_activation", slice_activation)
        self.to_slices = nn.Linear(d_latent, num_steps * d_slice)
        self.to_input = nn.Linear(d_slice, d_input)
        kaiming_(self.to_input)
        self.step_embedding = _learned_vectors(num_steps, d_input) if step_embedding else None

    def forward(self, z: Tensor) -> Tensor:
        """Map z [B d_latent] to x [B T d_input]."""
        slices = ACTIVATIONS[self.slice_activation](self.to_slices(z))
        x = self.to_input(rearrange(slices, "b (t d) -> b t d", t=self.num_steps))
        return x if self.step_embedding is None else x + self.step_embedding

    def grown_from(
        self, old: "ProjectLatent", state: Mapping[str, Tensor]
    ) -> dict[str, str | Tensor | None]:
        """Return the first steps of a painter of another number of steps.

        Further steps begin as they are drawn. See `fpainter.generators.growing`.
        """
        if self.num_steps == old.num_steps:
            return {}
        names = ("to_slices.weight", "to_slices.bias", "step_embedding")
        own = self.state_dict()
        return {n: _first_rows(state[n], own[n]) for n in names if n in own and n in state}


def _first_rows(stored: Tensor, drawn: Tensor) -> Tensor:
    """Return the rows stored, as many as were drawn; further ones as drawn."""
    if stored.shape[1:] != drawn.shape[1:]:
        return stored  # which does not fit, whatever the number of steps
    return torch.cat([stored[: len(drawn)], drawn[len(stored) :].to(stored)])


def _learned_vectors(num: int, size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(num, size))


def _check_steps(num_steps: int) -> None:
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
