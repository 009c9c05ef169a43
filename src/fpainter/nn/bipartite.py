"""Attention from one set of vectors to another, whose result modulates the first."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fpainter.nn.activations import check_choice
from fpainter.nn.equalised import EqualisedLinear, unit_rms
from fpainter.nn.noise import Dropout

INTEGRATIONS = ("add", "mul", "both")
NORM_AXES = {"layer": 1, "instance": 2}  # of [B C F]


class KMeans(NamedTuple):
    """Centroids of the receivers in the place of the senders' keys (duplex attention).

    Attributes:
        num_centroids: one for each sender.
        iterations: how often receivers are assigned: first to learned centroids, then to the means
            of those that were assigned to each.
    """

    num_centroids: int
    iterations: int = 1


class Gate(nn.Module):
    """One number in (0, 1) for each vector and head: ``sigmoid(W x + W' position + bias)``."""

    def __init__(self, d: int, d_position: int, num_heads: int, bias: float) -> None:
        super().__init__()
        self.bias = bias
        self.content = EqualisedLinear(d, num_heads)
        self.position = EqualisedLinear(d_position, num_heads) if d_position else None

    def forward(self, x: Tensor, positions: Tensor | None) -> Tensor:
        """Map x [B C F] and positions [F P] to [B N F]."""
        gate = self.content(x.mT)
        if self.position is not None:
            gate = gate + self.position(positions)
        return torch.sigmoid(gate + self.bias).mT


class BipartiteAttention(nn.Module):
    """Receivers attend to senders; what they find scales and shifts them.

    With x the receivers (such as pixels), y the senders (such as latents) and P their positions,

        A = softmax over senders of (W_q x + P_q) · (W_k y + P_k) / sqrt(d_head)
        c = W_c A (W_v y)        x <- (1 + c) norm(x), norm(x) + c, or both with halves of c

    and, for k-means, centroids in the place of ``W_k y + P_k``, compared with the pair of ``W_q x``
    and ``P_q`` by a learned weight for each entry.

    The maps of the many receivers are folded into those of the few senders: no receiver is ever
    mapped to a query or from a value, and the result is the same.

    Args:
        d_from: channels C of a receiver; the width of all heads together.
        d_to: channels D of a sender.
        d_from_positions: size of a receiver's position; 0 for none.
        d_to_positions: size of a sender's position; 0 for none.
        num_heads: attention heads N.
        integration: ``add``, ``mul`` or ``both``.
        norm: ``layer`` (each receiver over its channels), ``instance`` (each channel over the
            receivers) or None. Scaled receivers are divided by their root mean square, shifted
            ones centred.
        gate_from: a learned gate for each receiver; open at first.
        gate_to: a learned gate for each sender; half open at first.
        dropout: probability of dropping an entry of A, or a sender from all of A: half for each.
        kmeans: see `KMeans`; None for keys (simplex attention).

    Raises:
        ValueError: if an option is unknown or the heads do not divide the channels.

    Source: Hudson & Zitnick 2021 (GANsformer), whose code splits ``both`` wrongly.
    """

    def __init__(
        self,
        d_from: int,
        d_to: int,
        d_from_positions: int = 0,
        d_to_positions: int = 0,
        num_heads: int = 1,
        integration: str = "add",
        norm: str | None = None,
        gate_from: bool = False,
        gate_to: bool = False,
        dropout: float = 0.0,
        kmeans: KMeans | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or d_from % num_heads:
            raise ValueError(f"num_heads must divide the {d_from} channels; got {num_heads}")
        self.integration = check_choice("integration", integration, INTEGRATIONS)
        self.norm_axis = None if norm is None else NORM_AXES[check_choice("norm", norm, NORM_AXES)]
        self.num_heads = num_heads
        self.kmeans = kmeans
        self.dropout = Dropout(dropout / 2)
        self.to_query = EqualisedLinear(d_from, d_from)
        self.to_value = EqualisedLinear(d_to, d_from)
        self.to_control = EqualisedLinear(d_from, d_from * (1 + (integration == "both")))
        self.query_position = (
            EqualisedLinear(d_from_positions, d_from) if d_from_positions else None
        )
        if kmeans is None:
            self.to_key = EqualisedLinear(d_to, d_from)
            self.key_position = EqualisedLinear(d_to_positions, d_from) if d_to_positions else None
        else:
            d_pair = 2 * d_from // num_heads
            self.centroids = nn.Parameter(torch.randn(num_heads, kmeans.num_centroids, d_pair))
            self.centroid_weight = nn.Parameter(torch.ones(num_heads, 1, d_pair))
        self.gate_from = Gate(d_from, d_from_positions, num_heads, 1.0) if gate_from else None
        self.gate_to = Gate(d_to, d_to_positions, num_heads, 0.0) if gate_to else None

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        x_positions: Tensor | None = None,
        y_positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Modulate x by what it finds in y.

        Args:
            x: receivers [B C F].
            y: senders [B D T].
            x_positions: [F P], if the layer has positions of receivers.
            y_positions: [T P], if it has those of senders.

        Returns:
            x [B C F] and the attention A [B N T F], after its gates.
        """
        place = None
        if self.query_position is not None:
            place = self._heads(self.query_position(x_positions)).mT  # [N d F]
        if self.kmeans is None:
            keys = self.to_key(y.mT)
            if self.key_position is not None:
                keys = keys + self.key_position(y_positions)
            attention = self._attend(x, place, self._heads(keys), self._heads(keys))
        else:
            attention = self._cluster(x, place, self.kmeans.iterations)
        if self.gate_to is not None:
            attention = attention * self.gate_to(y, y_positions).unsqueeze(3)
        if self.gate_from is not None:
            attention = attention * self.gate_from(x, x_positions).unsqueeze(2)
        return self._integrate(x, self._control(y, attention)), attention

    def _heads(self, vectors: Tensor) -> Tensor:
        """Split vectors [... T C] into heads [... N T d]."""
        return vectors.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)

    def _queries(self) -> tuple[Tensor, Tensor]:
        """Return the matrix of the queries [N d C] and their offset [N d 1]."""
        sizes = self.num_heads, -1
        query = self.to_query
        return query.matrix().unflatten(0, sizes), query.offset().view(*sizes, 1)

    def _attend(self, x: Tensor, place: Tensor | None, content: Tensor, position: Tensor) -> Tensor:
        """Return the attention [B N T F] to keys, given for both addends of a query [B N T d]."""
        matrix, offset = self._queries()
        folded = (content @ matrix).flatten(1, 2)  # [B N·T C]
        rest = content @ offset  # [B N T 1]
        if place is not None:
            rest = rest + position @ place
        scores = (folded @ x).unflatten(1, content.shape[1:3]) + rest
        attention = (scores * content.shape[-1] ** -0.5).softmax(dim=2)
        if self.dropout.p == 0:
            return attention
        whole = self.dropout(torch.ones_like(attention[..., :1]))
        return self.dropout(attention) * whole

    def _cluster(self, x: Tensor, place: Tensor | None, iterations: int) -> Tensor:
        """Return the attention [B N T F] to centroids."""
        content, position = self.centroids[None].chunk(2, dim=-1)
        content_weight, position_weight = self.centroid_weight.chunk(2, dim=-1)
        pair = content * content_weight, position * position_weight
        attention = self._attend(x, place, *pair)
        for _ in range(1, iterations):
            content, position = self._means(x, place, attention, position)
            pair = content * content_weight, position * position_weight
            attention = self._attend(x, place, *pair)
        return attention

    def _means(
        self, x: Tensor, place: Tensor | None, attention: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mean queries of those assigned to each centroid, both addends [B N T d]."""
        share = attention / (attention.sum(dim=-1, keepdim=True) + 1e-8)
        matrix, offset = self._queries()
        mean = (share.flatten(1, 2) @ x.mT).unflatten(1, share.shape[1:3])  # [B N T C]
        content = mean @ matrix.mT + share.sum(dim=-1, keepdim=True) * offset.mT
        return content, position if place is None else share @ place.mT

    def _control(self, y: Tensor, attention: Tensor) -> Tensor:
        """Return what receivers find, ``W_c A (W_v y)``, [B C F] or twice as many channels."""
        values = self._heads(self.to_value(y.mT))  # [B N T d]
        matrix = self.to_control.matrix().unflatten(1, (self.num_heads, -1))  # [C N d]
        folded = torch.einsum("bntd,cnd->bcnt", values, matrix).flatten(2)
        return folded @ attention.flatten(1, 2) + self.to_control.offset()[:, None]

    def _integrate(self, x: Tensor, control: Tensor) -> Tensor:
        """Normalise receivers x [B C F], scale them and shift them."""
        if self.norm_axis is not None and self.integration != "mul":
            x = x - x.mean(dim=self.norm_axis, keepdim=True)
        if self.norm_axis is not None and self.integration != "add":
            x = unit_rms(x, self.norm_axis)
        if self.integration == "both":
            gain, shift = control.chunk(2, dim=1)
            return x * (1 + gain) + shift
        return x + control if self.integration == "add" else x * (1 + control)
