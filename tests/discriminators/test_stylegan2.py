"""Shapes, gradients and limits of StyleGAN2's discriminator."""

from typing import Any

import pytest
import torch

from fpainter.discriminators.stylegan2 import StyleGAN2Discriminator


def make(image_size: Any = 16, **options: Any) -> StyleGAN2Discriminator:
    return StyleGAN2Discriminator(image_size, channel_base=64, channel_max=6, **options)


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
@pytest.mark.parametrize("size", [16, (24, 40)], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"num_labels": 3, "clamp": 256.0}, {"self_attention_at": 8}, {"num_aggregators": 2}],
    ids=str,
)
def test_gradients_reach_every_parameter(architecture: str, size: Any, options: Any) -> None:
    judge = make(size, architecture=architecture, **options)
    height, width = (size, size) if isinstance(size, int) else size
    label = torch.tensor([0, 1, 1, 2]) if "num_labels" in options else None
    judgement = judge(torch.randn(4, 3, height, width), label=label)
    assert judgement.auxiliary_loss is None
    (logits,) = judgement.logits
    assert logits.shape == (4, 1 + options.get("num_aggregators", 0))
    logits.square().sum().backward()
    for name, parameter in judge.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith(("to_key.bias", "key_position.bias")):
            assert parameter.grad.abs().sum() > 0, name


def test_aggregators_see_the_image_and_the_batch() -> None:
    judge, images = make(num_aggregators=2), torch.randn(4, 3, 16, 16)
    alike = judge(images[:1].expand(4, -1, -1, -1)).logits[0][0, 1:]
    assert not torch.allclose(judge(images).logits[0][0, 1:], alike)
    assert not torch.allclose(judge(images[1:2].expand(4, -1, -1, -1)).logits[0][0, 1:], alike)


def test_a_label_changes_the_judgement() -> None:
    judge, images = make(num_labels=2, group_size=1), torch.randn(2, 3, 16, 16)
    one, other = (judge(images, label=torch.tensor([i, i])).logits[0] for i in (0, 1))
    assert not torch.allclose(one, other)
    with pytest.raises(ValueError, match="num_labels=2: give it a label"):
        judge(images)


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ValueError, match="image_size must be at least 8 and halve evenly"):
        make(36)
    with pytest.raises(ValueError, match="architecture must be one of"):
        make(architecture="unet")
    with pytest.raises(ValueError, match="group_size must be at least 1, a whole number; got 0"):
        make(group_size=0)
    with pytest.raises(ValueError, match="self_attention_at must be a power of two, at least 4"):
        make(self_attention_at=30)
    with pytest.raises(ValueError, match="leave no channel at 128 pixels"):
        make(128)
