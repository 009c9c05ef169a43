"""The references are the same mathematics; the instruments measure."""

import time
from functools import partial

import pytest
import torch

from fpainter.benchmarks.iteration import iteration
from fpainter.benchmarks.painting import any_size, painting
from fpainter.benchmarks.per_image import PLAIN, per_image
from fpainter.benchmarks.released import as_released
from fpainter.benchmarks.stopwatch import medians, peak_memory
from fpainter.benchmarks.throughput import sampling
from fpainter.discriminators.lightgan import LightGANDiscriminator
from fpainter.discriminators.stylegan2 import StyleGAN2Discriminator
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.losses.regularisers import R1
from fpainter.nn.attention import MixedAttention
from fpainter.nn.convolution import Convolution
from fpainter.training.gan_module import GANModule
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.generators.test_synthesis import make
from tests.training.test_phases import lazy
from tests.training.toys import gan, painter
from tests.viewer.painters import sampler

CPU = torch.device("cpu")


def lightgan() -> LightGANDiscriminator:
    """Build one whose attentions have 2 heads of 8 channels, where 8 of 64 take minutes."""
    discriminator = LightGANDiscriminator(16, c_max=16, attention_at=(16,))
    narrow = partial(MixedAttention, num_heads=2, d_head=8)
    discriminator.attentions[0] = narrow(3)
    discriminator.small.layers[1] = narrow(64)
    discriminator.small.layers[3] = narrow(32)
    assert len(discriminator.attentions) == 1
    return discriminator.to(memory_format=torch.channels_last)


def paper_gan() -> GANModule:
    torch.manual_seed(0)
    return gan(generator=painter(16), discriminator=lightgan())


def test_the_released_discriminator_is_ours() -> None:
    ours = LightGANDiscriminator(16, c_max=16, attention_at=(16,)).double()
    released = as_released(ours)
    assert not any(isinstance(part, Convolution) for part in released.modules())
    x = torch.rand(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    judged = [judge(x, auxiliary=True) for judge in (ours, released)]
    totals = [torch.cat(j.logits, 1).square().sum() + j.auxiliary_loss for j in judged]
    gradients = [torch.autograd.grad(total, x)[0] for total in totals]
    torch.testing.assert_close(totals[0], totals[1])
    torch.testing.assert_close(gradients[0], gradients[1])
    for parameter in released.parameters():  # its own
        parameter.data.zero_()
    torch.testing.assert_close(ours(x, auxiliary=True).auxiliary_loss, judged[0].auxiliary_loss)


def test_the_loop_paints_what_the_closed_form_paints() -> None:
    results = painting(painter(16), 2, 1, CPU)
    assert results["deviation"] < 1e-5
    assert results["speedup"] == results["loop_seconds"] / results["seconds"]


def test_iterations_have_the_losses_of_the_released_code() -> None:
    """In float64, in which trajectories do not part; then in float32."""
    reals = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    torch.set_default_dtype(torch.float64)
    try:
        results = iteration(paper_gan(), reals, 1, CPU, "64-true")
    finally:
        torch.set_default_dtype(torch.float32)
    assert results["loss_deviation_later"] < 1e-8
    module = paper_gan()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    results = iteration(module, reals, 1, CPU, "32-true")
    assert results["loss_deviation"] < 1e-5
    assert results["speedup"] > 0
    assert results["penalty.reference_seconds"] > 0
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_styled_iterations_have_the_losses_of_weights_for_each_image() -> None:
    """In float64, with all phases: images skipped and shortcuts, filters up and down."""
    reals = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8)
    torch.set_default_dtype(torch.float64)
    try:
        for architecture in ("skip", "resnet"):
            generator = make(16, architecture=architecture)
            judge = StyleGAN2Discriminator(16, 3, 64, 6, architecture)
            module = lazy(generator=generator, discriminator=judge, regulariser=R1(every=4))
            theirs = per_image(module)
            assert not any(type(part) in PLAIN for part in theirs.modules())
            w = generator.styles(torch.randn(2, 8))
            assert isinstance(theirs.generator, SynthesisGenerator)
            torch.testing.assert_close(
                theirs.generator.synthesis(w, "none"), generator.synthesis(w, "none")
            )
            results = iteration(module, reals, 1, CPU, "64-true")
            assert results["loss_deviation_later"] < 1e-8
            assert results["speedup"] > 0
    finally:
        torch.set_default_dtype(torch.float32)


def test_without_a_reference_there_is_no_ratio(caplog: pytest.LogCaptureFixture) -> None:
    module = gan(accumulate=2)
    results = iteration(module, torch.zeros(4, 3, 8, 8, dtype=torch.uint8), 1, CPU, "32-true")
    assert "speedup" not in results
    assert results["seconds"] > 0
    assert "accumulate=1" in caplog.text


def test_sampling_names_the_share_of_the_processor() -> None:
    results = sampling(gan().sampler(), 1, CPU)
    assert results["lstm_share"] == min(
        value for name, value in results.items() if name.endswith(".lstm_share")
    )


def test_medians_and_memory() -> None:
    calls = []
    seconds = medians({"slow": lambda: time.sleep(0.02), "fast": lambda: calls.append(1)}, 3, CPU)
    assert len(calls) == 4
    assert seconds["slow"] > 0.015 > seconds["fast"]
    peak = peak_memory(lambda: torch.ones(50_000_000), CPU)
    if peak is None:
        pytest.skip("the system does not tell")
    assert 180e6 < peak < 280e6


def test_painting_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fpainter.benchmarks.painting.SIDES", (8, 16, 512))
    found = any_size(sampler(), 1, CPU)
    assert {f"side_{side}.seconds" for side in (8, 16, 512)} < found.keys()
    assert "side.exponent_of_seconds" in found
    assert found["side_512.bytes"] >= 3 * 512 * 512 * 4
