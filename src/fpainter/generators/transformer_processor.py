"""A Transformer as sequence processor: all painting steps see each other at once."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpainter.nn.noise import Dropout


class SelfAttention(nn.Module):
    """Pre-norm multi-head self-attention over all steps, with a residual connection.

    ``x + W_o softmax(Q K^T / sqrt(d_hidden)) V``. Nothing is masked, no layer has a bias, and the
    scale is that of the whole width and not, as is usual, of a head.

    Args:
        d_hidden: width, a multiple of `num_heads`.
        num_heads: attention heads N.
        dropout: probability of dropping an output, in [0, 1).

    Raises:
        ValueError: if the heads do not divide the width.

    Source: ``trafo_delta_split`` of the released code.
    """

    def __init__(self, d_hidden: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(d_hidden, num_heads)
        self.num_heads = num_heads
        self.scale = d_hidden**-0.5
        self.norm = nn.LayerNorm(d_hidden)
        self.to_qkv = nn.Linear(d_hidden, 3 * d_hidden, bias=False)
        self.to_out = nn.Linear(d_hidden, d_hidden, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B T d_hidden] to the same shape."""
        # A head's query, key and value are neighbours in the output of the layer.
        q, k, v = rearrange(
            self.to_qkv(self.norm(x)), "b t (n three d) -> three b n t d", n=self.num_heads, three=3
        )
        heads = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return x + self.dropout(self.to_out(rearrange(heads, "b n t d -> b t (n d)")))


class FeedForward(nn.Module):
    """Pre-norm two-layer ReLU net, applied to each step, with a residual connection.

    Args:
        d_hidden: width of input and output.
        d_feedforward: width in between.
        dropout: probability of dropping a unit, in [0, 1).
    """

    def __init__(self, d_hidden: int, d_feedforward: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_hidden)
        self.layers = nn.Sequential(
            nn.Linear(d_hidden, d_feedforward),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(d_feedforward, d_hidden),
            Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B T d_hidden] to the same shape."""
        return x + self.layers(self.norm(x))


class TransformerProcessor(nn.Module):
    """Attention and feed-forward blocks in turn; every step sees all others, later ones too.

    It does not know the order of steps but by their inputs: give the input generator a
    `step_embedding`. The latent reaches it through the step inputs only.

    Args:
        d_input: size of a step's input; a linear layer brings it to `d_hidden` if it differs.
        d_hidden: width, a multiple of `num_heads`.
        num_layers: pairs of blocks L.
        num_heads: attention heads.
        d_feedforward: width inside the feed-forward blocks.
        dropout: probability of dropping a unit, in [0, 1).

    Raises:
        ValueError: if the heads do not divide the width.

    Source: ``trafo_delta_split`` of the released code.
    """

    def __init__(
        self,
        d_input: int,
        d_hidden: int,
        num_layers: int = 1,
        num_heads: int = 8,
        d_feedforward: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.d_input = d_input
        self.d_hidden = d_hidden
        self.to_hidden = nn.Identity() if d_input == d_hidden else nn.Linear(d_input, d_hidden)
        blocks: list[nn.Module] = []
        for _ in range(num_layers):
            blocks += [
                SelfAttention(d_hidden, num_heads, dropout),
                FeedForward(d_hidden, d_feedforward, dropout),
            ]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Map step inputs x [B T d_input] to h [B T d_hidden]; the latent z is not read."""
        del z
        return self.blocks(self.to_hidden(x))


def check_heads(d_hidden: int, num_heads: int) -> None:
    """Say so if heads do not divide a width.

    Args:
        d_hidden: width of all heads together.
        num_heads: heads N.

    Raises:
        ValueError: if `d_hidden` is no multiple of `num_heads`.
    """
    if num_heads < 1 or d_hidden % num_heads:
        raise ValueError(
            f"d_hidden must be a multiple of num_heads, at least 1; "
            f"got d_hidden {d_hidden} and num_heads {num_heads}"
        )
