"""The recurrent part of the slow net: the paper's SequenceProcessor (section 3.1)."""

from einops import rearrange
from torch import Tensor, nn

from fpainter.nn.init import kaiming_, uniform_


class LSTMProcessor(nn.Module):
    """A multi-layer LSTM, its first state zero or a linear map of the latent.

    All LSTM parameters start from U(-gain/sqrt(d_hidden), gain/sqrt(d_hidden)).

    Args:
        d_input: size of a step's input.
        d_hidden: size of the hidden state of each layer.
        num_layers: layers L.
        d_latent: size of z; read by the state map only.
        state_from_latent: map z to every layer's initial hidden and cell state; otherwise zeros.
        state_kaiming: start that map's weights from N(0, 2/d_latent), as the released v1 painter
            does, and not from torch's default for a linear layer, as its v2 painter does.
        gain: factor on the LSTM's initial bound.

    Source: Irie & Schmidhuber 2023, section 3.1; "Latent to RNN init" in Table 3.
    """

    def __init__(
        self,
        d_input: int,
        d_hidden: int,
        num_layers: int,
        d_latent: int,
        state_from_latent: bool = True,
        state_kaiming: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.d_input = d_input
        self.d_hidden = d_hidden
        self.num_layers = num_layers
        self.lstm = nn.LSTM(d_input, d_hidden, num_layers, batch_first=True)
        uniform_(self.lstm, fan=d_hidden, gain=gain)
        self.to_state = (
            nn.Linear(d_latent, 2 * num_layers * d_hidden) if state_from_latent else None
        )
        if self.to_state is not None and state_kaiming:
            kaiming_(self.to_state)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Map step inputs x [B T d_input] and the latent z [B d_latent] to h [B T d_hidden]."""
        if self.to_state is None:
            return self.lstm(x)[0]
        hidden, cell = rearrange(
            self.to_state(z), "b (s l d) -> s l b d", s=2, l=self.num_layers
        ).contiguous()
        return self.lstm(x, (hidden, cell))[0]
