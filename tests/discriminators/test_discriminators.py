"""Shapes, gradients and limits of the discriminators."""

import pytest
import torch
from torch import nn

from fpainter.discriminators.convolutional import ConvolutionalDiscriminator
from fpainter.discriminators.lightgan import LightGANDiscriminator
from fpainter.generators.growing import grown_state


def check_gradients(module: nn.Module, loss: torch.Tensor) -> None:
    loss.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("size", "channels", "logits"),
    [(32, 3, 1), (16, 1, 1), ((32, 48), 4, 3), (64, 3, 1)],
    ids=str,
)
@pytest.mark.parametrize("blur", [False, True])
def test_lightgan(size: int | tuple[int, int], channels: int, logits: int, blur: bool) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    judge = LightGANDiscriminator(size, channels, c_max=8, blur=blur)
    images = torch.randn(2, channels, height, width)
    assert judge(images).auxiliary_loss is None
    judgement = judge(images, auxiliary=True)
    assert [head.shape for head in judgement.logits] == [(2, logits), (2, 1)]
    assert judgement.auxiliary_loss is not None
    total = torch.stack([head.square().sum() for head in judgement.logits]).sum()
    check_gradients(judge, total + judgement.auxiliary_loss)


def test_lightgan_has_the_papers_size() -> None:
    judge = LightGANDiscriminator(64)
    assert round(sum(p.numel() for p in judge.parameters()) / 1e6, 2) == 12.33


def test_the_second_head_sees_every_other_pixel_of_64() -> None:
    judge, image = LightGANDiscriminator(64, c_max=8), torch.randn(1, 3, 64, 64)
    other = image.clone()
    other[..., 1::2, :] = other[..., 1::2] = 0
    (full, small), (other_full, other_small) = judge(image).logits, judge(other).logits
    assert torch.equal(small, other_small)
    assert not torch.allclose(full, other_full)


def test_a_quadrant_is_reconstructed_from_its_own_features() -> None:
    """With features that are the image, and a decoder that shows them, nothing is amiss."""
    judge, image = LightGANDiscriminator(16, c_max=8), torch.randn(2, 3, 16, 16)
    deepest = torch.randn(2, 8, 8, 8)
    alone = judge._reconstruction_error(image, deepest, image)
    judge.quadrant_decoder = nn.Identity()  # type: ignore[assignment]
    other = image.clone()
    other[..., :8, 8:] += 1  # the upper right quadrant
    errors = [
        (judge._reconstruction_error(image, deepest, features) - alone).item()
        for features in [image] * 20 + [other] * 20
    ]
    assert errors[:20] == [0] * 20
    assert {round(error, 3) for error in errors[20:]} == {0, 1}


@pytest.mark.parametrize("size", [8, [64, 33]], ids=str)
def test_lightgan_names_impossible_sizes(size: int | list[int]) -> None:
    LightGANDiscriminator(24, c_max=8)  # halves once, to 12 pixels
    with pytest.raises(ValueError, match="image_size must be at least 16 and halve evenly"):
        LightGANDiscriminator(size, c_max=8)


def test_lightgan_names_impossible_options() -> None:
    with pytest.raises(ValueError, match="c_max must be a power of two"):
        LightGANDiscriminator(32, c_max=12)
    with pytest.raises(ValueError, match="logit_size must be 1 or 5"):
        LightGANDiscriminator(32, logit_size=3)


@pytest.mark.parametrize("group_size", [1, 4])
@pytest.mark.parametrize("size", [16, (8, 24)], ids=str)
def test_convolutional(size: int | tuple[int, int], group_size: int) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    judge = ConvolutionalDiscriminator(size, 3, widths=(4, 6, 8), group_size=group_size)
    judgement = judge(torch.randn(8, 3, height, width))
    assert [head.shape for head in judgement.logits] == [(8, 1)]
    check_gradients(judge, judgement.logits[0].square().sum())


def test_convolutional_sees_a_lack_of_variety() -> None:
    judge = ConvolutionalDiscriminator(8, widths=(4,), group_size=4)
    image = torch.randn(1, 3, 8, 8)
    same = judge(image.repeat(4, 1, 1, 1)).logits[0][0]
    mixed = judge(torch.cat([image, torch.randn(3, 3, 8, 8)])).logits[0][0]
    assert not torch.allclose(same, mixed)
    alone = ConvolutionalDiscriminator(8, widths=(4,), group_size=1)
    torch.testing.assert_close(
        alone(image.repeat(4, 1, 1, 1)).logits[0][0], alone(image).logits[0][0]
    )


def test_convolutional_names_impossible_sizes() -> None:
    with pytest.raises(ValueError, match="divisible by 8"):
        ConvolutionalDiscriminator(12, widths=(4, 6, 8))


@pytest.mark.parametrize(
    ("old", "old_skips", "new", "skips"),
    [
        ((6, 8), 0, (4, 6, 8), 1),
        ((6, 8), 1, (4, 6, 8), 2),
        ((6, 8), 0, (3, 4, 6, 8), 2),
        ((6, 8), 0, (3, 4, 6, 8), 3),
        ((6, 6), 0, (6, 6, 6), 1),
    ],
)
def test_a_grown_discriminator_judges_the_image_at_its_old_size(
    old: tuple[int, ...], old_skips: int, new: tuple[int, ...], skips: int
) -> None:
    factor = 2 ** (len(new) - len(old))
    small = ConvolutionalDiscriminator((8, 16), widths=old, skips=old_skips)
    large = ConvolutionalDiscriminator((8 * factor, 16 * factor), widths=new, skips=skips)
    drawn = large.from_image.weight.clone()
    growth = grown_state(large, small, small.state_dict())
    large.load_state_dict(growth.state, strict=False)
    assert torch.equal(large.from_image.weight, drawn)
    assert not growth.misfits
    images = torch.randn(4, 3, 8 * factor, 16 * factor)
    pooled = nn.functional.avg_pool2d(images, factor)
    torch.testing.assert_close(large(images).logits, small(pooled).logits, atol=1e-5, rtol=1e-5)
    large(images).logits[0].sum().backward()
    silent = large.get_parameter(f"downs.{len(new) - len(old) - 1}.second.weight")
    assert silent.grad is not None
    assert silent.grad.abs().sum() > 0


def test_discriminators_of_other_widths_have_nothing_to_say() -> None:
    small, large = (
        ConvolutionalDiscriminator(8 * n, widths=w) for n, w in ((1, (6, 8)), (2, (4, 6, 8)))
    )
    growth = grown_state(large, small, small.state_dict())
    assert not growth.grown
    assert growth.misfits
    with pytest.raises(ValueError, match=r"skips must be within 0\.\.1, got 2"):
        ConvolutionalDiscriminator(8, widths=(6, 8), skips=2)
