"""The numbers a run calculates with."""

from typing import Any

import torch

from fpainter.errors import UserError

TRAINED = ("32-true", "64-true", "bf16-mixed", "32", "64", "bf16")  # by Lightning's names
MATMUL = ("highest", "high", "medium")  # by torch's names


BF16 = ("amx_bf16", "avx512_bf16", "arm_bf16", "bf16")  # by torch's names of what processors have


def pick_precision(precision: str | int, accelerator: str = "auto") -> str:
    """Return a precision; for ``auto`` the fastest in which training goes on well.

    That is ``bf16-mixed`` where the hardware multiplies in it, else ``32-true``.

    Args:
        precision: ``auto``, or by one of Lightning's names.
        accelerator: of the trainer, by Lightning's name.
    """
    if precision != "auto":
        return str(precision)
    if accelerator != "cpu" and torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
        )
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.9
    return "bf16-mixed" if any(has.get(name) for name in BF16) else "32-true"


def check_precision(precision: str | int) -> None:
    """Refuse weights or gradients in half precision, in which small updates are rounded away.

    Raises:
        UserError: if `precision`, by one of Lightning's names, is not one to train in.
    """
    if str(precision) in TRAINED:
        return
    if "16" in str(precision):
        raise UserError(
            f"trainer.precision={precision}: half-precision weights or gradients round small "
            "updates and the running average away; give bf16-mixed, 32-true or 64-true"
        )
    raise UserError(f"trainer.precision={precision}: must be auto, bf16-mixed, 32-true or 64-true")


def set_matmul_precision(precision: str) -> None:
    """Let GPUs multiply and convolve float32 in TF32, or in less, unless it is ``highest``.

    Raises:
        UserError: if torch knows no such precision.
    """
    if precision not in MATMUL:
        raise UserError(f"matmul_precision={precision}: must be one of {', '.join(MATMUL)}")
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"
