"""Compiled or not, training is the same; without a compiler it goes on."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.callbacks.compiled import CompiledDiscriminator
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.training.test_gan_module import Watch, fit
from tests.training.toys import gan


def test_penalised_passes_are_not_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)
    module, compiled = gan(), []
    forward = module.discriminator.forward

    def compile_(*_: Any) -> None:
        def fused(*args: Any, **kwargs: Any) -> Any:
            compiled.append(module.iteration)
            return forward(*args, **kwargs)

        module.discriminator._compiled_call_impl = fused

    monkeypatch.setattr(module.discriminator, "compile", compile_)
    fit(module, 2, tmp_path, CompiledDiscriminator(enabled=True))
    # Fakes and the generator's step; reals only in the second iteration, which has no penalty.
    assert compiled == [0, 0, 1, 1, 1]


def test_without_a_compiler_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(function: Any) -> Any:
        raise RuntimeError("no g++\nand much more")

    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.WARNING):
        trainer = fit(gan(), 1, tmp_path, CompiledDiscriminator(enabled=True))
    assert trainer.global_step == 1
    assert "no compiler works here; going on without (no g++)" in caplog.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_losses_are_those_without(tmp_path: Path) -> None:
    rows = []
    for enabled in (False, True):
        watch = Watch()
        fit(gan(), 4, tmp_path, watch, CompiledDiscriminator(enabled))
        rows.append(watch.metrics)
    for plain, fused in zip(*rows, strict=True):
        assert fused == pytest.approx(plain, rel=1e-4, abs=1e-5)
