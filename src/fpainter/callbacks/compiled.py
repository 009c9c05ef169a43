"""Compiling what can be compiled."""

import logging

import torch
from lightning import Callback, LightningModule, Trainer

from fpainter.errors import first_line
from fpainter.training.gan_module import GANModule

_log = logging.getLogger(__name__)


class CompiledDiscriminator(Callback):
    """Let torch.compile fuse the discriminator's passes, all but the penalised ones.

    Compiled code has no second derivative, so reals with a penalty are judged as always. Where no
    compiler works, training goes on without one.

    Args:
        enabled: false does nothing.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile when training begins; the first iterations then take a minute or more."""
        assert isinstance(pl_module, GANModule)
        if not self.enabled:
            return
        try:
            torch.compile(torch.neg)(torch.ones(2, device=pl_module.device))
        except Exception as error:  # whatever its many parts raise
            reason = first_line(error)
            _log.warning("compile=true: no compiler works here; going on without (%s)", reason)
            return
        pl_module.discriminator.compile()
