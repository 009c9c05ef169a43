"""Recurrent fast weight programmers as sequence processor: a fast weight net drives another."""

import torch
from einops import rearrange
from torch import Tensor, nn

from fpainter.generators.transformer_processor import FeedForward, check_heads
from fpainter.nn.noise import Dropout
from fpainter.ops.recurrent_fwp import recurrent_fwp


class RecurrentDeltaNet(nn.Module):
    """Pre-norm layer of recurrent fast weight memories, with a residual connection.

    Args:
        d_hidden: width, a multiple of `num_heads`.
        num_heads: memories N, each of d_head = d_hidden / N.
        dropout: probability of dropping an output, in [0, 1).

    Attributes:
        recurrence: R [N d_head 3·d_head+1], drawn from N(0, 1/d_head); its columns are query,
            key, value and rate (the released code's R_q, R_k, R_v and r_b transposed).

    Raises:
        ValueError: if the heads do not divide the width.

    Source: Irie et al. 2021, the Recurrent Delta Net.
    """

    def __init__(self, d_hidden: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(d_hidden, num_heads)
        self.num_heads = num_heads
        d_head = d_hidden // num_heads
        size = 3 * d_head + 1
        self.norm = nn.LayerNorm(d_hidden)
        self.to_drive = nn.Linear(d_hidden, num_heads * size, bias=False)
        self.recurrence = nn.Parameter(torch.randn(num_heads, d_head, size) * d_head**-0.5)
        self.to_out = nn.Linear(d_hidden, d_hidden, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Map x [B T d_hidden] and the memories' first answers [B N d_head] to [B T d_hidden]."""
        drive = rearrange(self.to_drive(self.norm(x)), "b t (n e) -> b n t e", n=self.num_heads)
        # The memory answers in float32; pure half-precision networks want their own type back.
        answers = recurrent_fwp(drive, self.recurrence, state).to(drive.dtype)
        return x + self.dropout(self.to_out(rearrange(answers, "b n t d -> b t (n d)")))


class RFWPProcessor(nn.Module):
    """Layers of recurrent fast weight memories, their first states a linear map of the latent.

    Args:
        d_input: size of a step's input.
        d_hidden: width, a multiple of `num_heads`.
        num_layers: layers L, each a memory layer and a feed-forward block.
        d_latent: size of z.
        num_heads: memories of a layer.
        d_feedforward: width inside the feed-forward blocks.
        dropout: probability of dropping a unit, in [0, 1).

    Raises:
        ValueError: if the heads do not divide the width.

    Source: ``rfwp_delta`` of the released code, whose kernel passes no gradient to the first
    state: there `to_state` stays as it was drawn, here it is trained.
    """

    def __init__(
        self,
        d_input: int,
        d_hidden: int,
        num_layers: int,
        d_latent: int,
        num_heads: int = 8,
        d_feedforward: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.d_input = d_input
        self.d_hidden = d_hidden
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.to_hidden = nn.Linear(d_input, d_hidden)
        self.to_state = nn.Linear(d_latent, num_layers * d_hidden)
        self.memories = nn.ModuleList(
            RecurrentDeltaNet(d_hidden, num_heads, dropout) for _ in range(num_layers)
        )
        self.feedforwards = nn.ModuleList(
            FeedForward(d_hidden, d_feedforward, dropout) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Map step inputs x [B T d_input] and the latent z [B d_latent] to h [B T d_hidden]."""
        h = self.to_hidden(x)
        states = rearrange(
            self.to_state(z), "b (l n d) -> l b n d", l=self.num_layers, n=self.num_heads
        )
        for memory, feedforward, state in zip(
            self.memories, self.feedforwards, states, strict=True
        ):
            h = feedforward(memory(h, state))
        return h
