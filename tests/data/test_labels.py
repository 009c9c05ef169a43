"""Where labels come from, how they are kept beside the images, and batches with labels."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.data.datamodule import ImageDataModule
from fpainter.data.portraits import HAIR_COLOURS, Portraits
from fpainter.errors import UserError
from tests.data.conftest import trainer
from tests.data.test_sources import png, write, write_zip

TREE = ("dog/1.png", "cat/a/2.png", "dog/3.png", "cat/4.png", "emu/5.png")
NUMBERS = {"x/0.png": 2, "x/1.png": 0, "y/2.png": 2}


def folder(root: Path, content: Any = None, names: Any = NUMBERS) -> Path:
    write(root, *names)
    if content is not None:
        (root / "dataset.json").write_text(json.dumps(content))
    return root


def data(path: Path, **options: Any) -> ImageDataModule:
    return ImageDataModule.from_folder(4, str(path), **{"labels": True, "batch_size": 4, **options})


def found(module: ImageDataModule) -> dict[str, str]:
    images = module.images
    assert images.labels is not None
    return {t: images.class_names[i] for t, i in zip(images.titles, images.labels, strict=True)}


@pytest.mark.parametrize("packed", [False, True])
def test_sub_folders_are_classes(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "x.zip"
    path = (
        write_zip(path, {n: png() for n in TREE}) if packed else folder(tmp_path / "x", None, TREE)
    )
    module = data(path)
    assert module.class_names == ("cat", "dog", "emu")
    assert found(module) == {name: name.split("/")[0] for name in TREE}


@pytest.mark.parametrize("packed", [False, True])
def test_what_stylegan3s_tool_writes(tmp_path: Path, packed: bool) -> None:
    content = {"labels": [*map(list, NUMBERS.items()), ["elsewhere.png", 7]]}
    if packed:
        members = {name: png() for name in NUMBERS}
        path = write_zip(
            tmp_path / "x.zip", members | {"dataset.json": json.dumps(content).encode()}
        )
    else:
        path = folder(tmp_path / "x", content)
    module = data(path)
    assert module.class_names == ("0", "1", "2")  # there is no image of class 1
    assert found(module) == {name: str(number) for name, number in NUMBERS.items()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"labels": None},
            r"dataset\.json of .*in cannot be used \(it has no labels\); it must be",
        ),
        ([], "it has no labels"),
        ({"labels": {"a": 1}}, "its labels are no list of pairs"),
        ({"labels": [["x/0.png", 1], ["x/1.png", 0]]}, r"has no label for y/2\.png; add it"),
        (
            {"labels": [["x/0.png", -1]]},
            r"the label of x/0\.png is -1, no whole number in 0\.\.65535",
        ),
        ({"labels": [["x/0.png", [0.5, 0.5]]]}, r"is \[0\.5, 0\.5\], no whole number"),
        ({"labels": [[name, 0] for name in NUMBERS]}, "has the class 0 alone"),
    ],
)
def test_bad_json(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        data(folder(tmp_path / "in", content))
    assert "\n" not in str(caught.value)


def test_other_mistakes(tmp_path: Path) -> None:
    folder(tmp_path / "in", None, [*TREE, "6.png"])
    with pytest.raises(
        UserError, match=r"6\.png of .*in lies in no sub-folder, .*move it into one"
    ):
        data(tmp_path / "in")
    (tmp_path / "in" / "6.png").unlink()
    with pytest.raises(UserError, match=r"5\.png is of the class emu, .* not among dog, cat; take"):
        data(tmp_path / "in", class_names=["dog", "cat"])
    with pytest.raises(UserError, match=r"data\.class_names: cat, cat names a class twice"):
        data(tmp_path / "in", class_names=["cat", "cat"])
    with pytest.raises(ValueError, match="labels must be true or false, got 'yes'"):
        data(tmp_path / "in", labels="yes")
    (tmp_path / "in" / "dataset.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json of .* cannot be used"):
        data(tmp_path / "in")


def test_class_names_decide_the_order(tmp_path: Path) -> None:
    path, names = folder(tmp_path / "in", None, TREE), ["emu", "yak", "dog", "cat"]
    module = data(path, class_names=names)
    assert module.class_names == tuple(names)
    assert found(module) == found(data(path))
    assert module.images.fingerprint != data(path).images.fingerprint


def test_damaged_images_take_their_labels_along(tmp_path: Path) -> None:
    path = folder(tmp_path / "in", None, TREE)
    (path / "dog" / "1.png").write_bytes(b"")
    module = data(path)
    assert found(module) == {name: name.split("/")[0] for name in TREE if name != "dog/1.png"}
    assert pickle.loads(pickle.dumps(module.images)).labels.tolist() == [0, 0, 1, 2]


def test_labels_without_their_number_are_built_anew(tmp_path: Path) -> None:
    path = folder(tmp_path / "in", None, TREE)
    meta = data(path).images.folder / "meta.json"
    content = json.loads(meta.read_text())
    meta.write_text(json.dumps(content | {"classes": {"names": ["a", "b"], "labels": [1]}}))
    assert len(found(data(path))) == 5


def test_batches_with_labels_are_those_without_in_any_share_and_after_a_stop(
    tmp_path: Path,
) -> None:
    path = folder(tmp_path / "in", None, TREE)
    module, plain = data(path, flip=True), data(path, flip=True, labels=False)
    assert plain.class_names == ()
    assert plain.images.labels is None
    stream, unlabelled = module.train_dataloader(), plain.train_dataloader()
    served = [next(stream) for _ in range(4)]
    for images, labels in served:
        assert torch.equal(images, next(unlabelled))
        # Each file of the tree is of another grey, by which its class is known.
        grey = images[:, 0, 0, 0].tolist()
        assert [TREE[value].split("/")[0] for value in grey] == [
            module.class_names[label] for label in labels
        ]
    again = module.train_dataloader()
    again.load_state_dict({"next_batch": 2, "global_batch_size": 4})
    assert all(map(torch.equal, next(again), served[2]))
    parts = []
    for rank in range(2):
        module.trainer = trainer(rank, world_size=2)
        parts.append(next(module.train_dataloader())[1])
    assert torch.equal(torch.cat(parts), served[0][1])


def test_portraits_by_their_hair(tmp_path: Path) -> None:
    module = ImageDataModule.from_portraits(8, 60, labels=True, cache_dir=str(tmp_path))
    assert module.class_names == HAIR_COLOURS
    labels = module.images.labels
    assert labels is not None
    assert len(labels.unique()) == 5
    source = Portraits(60)
    assert [HAIR_COLOURS[label] for label in labels] == [source.hair_colour(i) for i in range(60)]
    plain = ImageDataModule.from_portraits(8, 60, cache_dir=str(tmp_path))
    assert torch.equal(plain.images.batch(range(60)), module.images.batch(range(60)))
