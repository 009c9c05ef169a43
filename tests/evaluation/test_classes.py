"""Labels of fakes that are scored, and scores of single classes."""

from pathlib import Path

import pytest
import torch

from fpainter.errors import UserError
from fpainter.evaluation.classes import OneClass, labels_like
from fpainter.evaluation.metrics.fid import PaintedFID
from fpainter.evaluation.scorer import Scorer
from fpainter.generators.latents import latents
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from tests.evaluation.toys import ToyImages, toy_features
from tests.training.toys import painter


class Labelled(ToyImages):
    """40 images: 30 of class 0, nine of class 1 and one of class 2."""

    labels = torch.tensor([0] * 30 + [1] * 9 + [2])


def test_labels_follow_those_of_the_reals() -> None:
    generator = painter(num_labels=3)
    label = labels_like(Labelled(), generator, 1, range(4000))
    assert label is not None
    shares = label.bincount() / 4000
    torch.testing.assert_close(shares, torch.tensor([0.75, 0.225, 0.025]), atol=0.02, rtol=0)
    some = labels_like(Labelled(), generator, 1, [7, 3999])
    assert some is not None
    assert some.tolist() == [label[7], label[3999]]
    assert labels_like(ToyImages(), painter(), 1, [0]) is None
    with pytest.raises(UserError, match="paints 3 classes, and the real images have no labels"):
        labels_like(ToyImages(), generator, 1, [0])


def test_scores_of_classes_do_not_depend_on_batches(tmp_path: Path) -> None:
    images, generator = Labelled(), painter(num_labels=3)
    generator.class_names = ("a", "b", "c")
    sampler = Sampler(generator.eval(), ImageRange("signed"))
    metrics = ["fid", "fid_by_label", "painting"]
    one, other = (
        Scorer(toy_features(tmp_path / str(size), batch_size=size), images, metrics, 20)(sampler)
        for size in (3, 20)
    )
    table = one["fid_by_label"]
    assert one["fid"] == pytest.approx(other["fid"])
    assert table["fid"][:2] == pytest.approx(other["fid_by_label"]["fid"][:2])
    assert (table["names"], table["num_images"], table["fid"][2]) == (["a", "b", "c"], 20, None)
    reals = OneClass(images, 1)
    assert torch.equal(reals.batch([0, 8]), images.batch([30, 38]))
    score = PaintedFID(toy_features(tmp_path), reals)
    z = latents(0, range(20), sampler.d_latent)
    drawn = sampler(z, torch.ones(20, dtype=torch.int64))
    assert table["fid"][1] == pytest.approx(score.score(lambda i: drawn[list(i)], 20))
    # The reals of a class are among all, whose features are there.
    features = toy_features(tmp_path / "3")
    mean = features.extractor(reals.batch(range(9))).double().mean(dim=0)
    torch.testing.assert_close(features.statistics(reals).moments.mean, mean)
    assert len({OneClass(images, label).fingerprint for label in range(3)}) == 3


def test_painters_without_labels_have_no_such_scores(tmp_path: Path) -> None:
    sampler = Sampler(painter().eval(), ImageRange("signed"))
    scorer = Scorer(toy_features(tmp_path), Labelled(), ["fid_by_label"], 5)
    assert scorer(sampler).keys() == {"fid"}
