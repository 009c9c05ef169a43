"""The numbers a run calculates with."""

import torch

from fpainter.errors import UserError

TRAINED = ("32-true", "64-true", "bf16-mixed", "32", "64", "bf16")  # by Lightning's names
MATMUL = ("highest", "high", "medium")  # by torch's names


def check_precision(precision: str | int) -> None:
    """Refuse weights or gradients in half precision, in which small updates are rounded away.

    Raises:
        UserError: if `precision`, by one of Lightning's names, is not one to train in.
    """
    if str(precision) not in TRAINED:
        raise UserError(
            f"trainer.precision={precision}: half-precision weights or gradients round small "
            "updates and the running average away; give bf16-mixed, 32-true or 64-true"
        )


def set_matmul_precision(precision: str) -> None:
    """Let GPUs multiply and convolve float32 in TF32, or in less, unless it is ``highest``.

    Raises:
        UserError: if torch knows no such precision.
    """
    if precision not in MATMUL:
        raise UserError(f"matmul_precision={precision}: must be one of {', '.join(MATMUL)}")
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"
