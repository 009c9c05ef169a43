"""Discriminators that take labels."""

from collections.abc import Callable

import pytest
import torch

from fpainter.discriminators.base import Discriminator
from fpainter.discriminators.convolutional import ConvolutionalDiscriminator
from fpainter.discriminators.lightgan import LightGANDiscriminator
from fpainter.discriminators.projection import Projection
from fpainter.losses.regularisers import R1

JUDGES: list[Callable[[int], Discriminator]] = [
    lambda num: ConvolutionalDiscriminator(16, widths=(4, 6), num_labels=num),
    lambda num: LightGANDiscriminator(16, c_max=8, num_labels=num),
]


def test_formula() -> None:
    projection, features = Projection(3, 5), torch.randn(4, 5, 2, 3)
    assert projection.embedding is not None
    logits, label = torch.randn(4, 2), torch.tensor([2, 0, 1, 2])
    got = projection(logits, features, label)
    for row in range(4):
        vector = projection.embedding.weight[label[row]]
        fit = sum(vector @ features[row, :, y, x] for y in range(2) for x in range(3)) / 6
        torch.testing.assert_close(got[row], logits[row] + fit)


@pytest.mark.parametrize("build", JUDGES)
def test_the_penalty_reaches_the_embedding_and_nothing_else_changes(
    build: Callable[[int], Discriminator],
) -> None:
    torch.manual_seed(4)
    plain = build(0)
    torch.manual_seed(4)
    judge = build(3)
    names = judge.state_dict().keys() - plain.state_dict().keys()
    assert names == {"projection.embedding.weight"}
    assert all(torch.equal(t, judge.state_dict()[n]) for n, t in plain.state_dict().items())
    images = torch.randn(4, 3, 16, 16, requires_grad=True)
    logits = judge(images, label=torch.tensor([0, 1, 1, 0])).logits
    assert not torch.allclose(logits[0], plain(images).logits[0])
    R1()(logits, images).backward()
    gradient = judge.get_parameter("projection.embedding.weight").grad
    assert gradient is not None
    assert (gradient.abs().sum(dim=1) > 0).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="num_labels=3: give it a label"):
        judge(images)
    with pytest.raises(ValueError, match="built without"):
        plain(images, label=torch.zeros(4, dtype=torch.int64))
