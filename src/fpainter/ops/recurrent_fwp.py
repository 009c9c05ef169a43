"""A fast weight memory that is programmed by its own last answer."""

import torch
from torch import Tensor

from fpainter.ops.precision import full_precision


@full_precision
def recurrent_fwp(drive: Tensor, recurrence: Tensor, state: Tensor) -> Tensor:
    r"""Run the recurrent delta net; its memory W is D x D and starts from zeros.

    With ``a_t = drive_t + tanh(h_{t-1}) R`` split into ``(q, k, v, b)``, for each head:

        q_t = softmax(q),  k_t = softmax(k),  v_t = v,  beta_t = sigmoid(b)
        W_t = W_{t-1} + beta_t (v_t - W_{t-1} k_t) k_t^T
        h_t = W_t q_t

    The instructions need the previous answer, so that, unlike in the painter's delta rule, the
    loop over steps cannot be avoided.

    Args:
        drive: the input's share of query, key, value and rate, side by side, before their
            activations [B N T 3D+1]; N heads.
        recurrence: R, from the previous answer to the same [N D 3D+1].
        state: h_0 [B N D].

    Returns:
        h_1, ..., h_T [B N T D].

    Raises:
        ValueError: if the shapes do not belong together.

    Source: Irie et al. 2021, "Going Beyond Linear Transformers with Recurrent Fast Weight
    Programmers", the Recurrent Delta Net, as in its CUDA kernel with tanh. The kernel returns no
    gradient for h_0; here it has one.
    """
    batch, heads, _, size = drive.shape
    d_head = state.shape[-1]
    if recurrence.shape != (heads, d_head, 3 * d_head + 1) or size != 3 * d_head + 1:
        raise ValueError(
            "drive [B N T 3D+1], recurrence [N D 3D+1] and state [B N D] must agree; got "
            f"{tuple(drive.shape)}, {tuple(recurrence.shape)}, {tuple(state.shape)}"
        )
    memory = drive.new_zeros(batch * heads, d_head, d_head)  # W, [B·N D D]
    answers = []
    for step in drive.unbind(dim=2):
        written = step + torch.einsum("bnd,nde->bne", state.tanh(), recurrence)
        questions, value, rate = written.flatten(0, 1).split([2 * d_head, d_head, 1], dim=-1)
        asked = questions.unflatten(-1, (2, d_head)).softmax(dim=-1)  # query and key [B·N 2 D]
        query, key = asked[:, 0], asked[:, 1]
        # Both are asked of the old memory at once; the new one differs by u k^T.
        retrieved, stored = (asked @ memory.mT).unbind(dim=1)
        u = rate.sigmoid() * (value - stored)  # [B·N D]
        memory = torch.baddbmm(memory, u.unsqueeze(2), key.unsqueeze(1))
        answer = retrieved + u * (key * query).sum(dim=-1, keepdim=True)
        state = answer.unflatten(0, (batch, heads))
        answers.append(state)
    return torch.stack(answers, dim=2)
