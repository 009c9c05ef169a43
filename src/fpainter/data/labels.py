"""Class labels: which class each picture of a source belongs to."""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol, cast

from PIL import Image

from fpainter.data.sources import ImageSource, printable, sha256
from fpainter.errors import UserError, first_line

JSON = "dataset.json"
MOST = 1 << 16  # classes; a larger number in a file is a mistake, and would take all memory
_SHOWN = 10  # class names in a message


class LabelledSource(ImageSource, Protocol):
    """A collection of pictures, each of one class.

    Attributes:
        class_names: what label i is called.
    """

    class_names: tuple[str, ...]

    def class_label(self, index: int) -> int:
        """Return the label of picture `index`, in 0..len(class_names)−1."""


def with_labels(source: ImageSource) -> LabelledSource | None:
    """Return a source if its pictures have labels, else None."""
    return cast(LabelledSource, source) if getattr(source, "class_names", ()) else None


class LabelledImages:
    """A `LabelledSource` made of any other and the class of each picture.

    Args:
        source: the pictures.
        classes: the name of each picture's class, in the source's order.
        found: all names, in the order of their labels.
        class_names: the names and their order, if they are known before: those of a painter that
            was trained on them. None takes what was found.

    Attributes:
        class_names: what label i is called.

    Raises:
        UserError: if there are fewer than two classes, or one is not among `class_names`.
    """

    def __init__(
        self,
        source: ImageSource,
        classes: Sequence[str],
        found: Sequence[str],
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.name = source.name
        self.class_names = tuple(map(str, found if class_names is None else class_names))
        if len(self.class_names) < 2:
            raise UserError(
                f"data.labels=true: {source.name} has the class {', '.join(self.class_names)} "
                "alone; labels need two classes or more, such as sub-folders"
            )
        if len({*self.class_names}) < len(self.class_names):
            raise UserError(f"data.class_names: {listed(self.class_names)} names a class twice")
        labels = {name: label for label, name in enumerate(self.class_names)}
        for index, name in enumerate(classes):
            if name not in labels:
                raise unknown_class(name, source.title(index), self.class_names)
        self._source = source
        self._labels = [labels[name] for name in classes]

    def __len__(self) -> int:
        return len(self._source)

    def fingerprint(self) -> str:
        """Return the sha256 over the pictures' own, the class names and the labels."""
        return sha256(self._source.fingerprint(), self.class_names, self._labels)

    def title(self, index: int) -> str:
        """Return the picture's title; see `ImageSource.title`."""
        return self._source.title(index)

    def open(self, index: int) -> Image.Image:
        """Return picture `index`; see `ImageSource.open`."""
        return self._source.open(index)

    def class_label(self, index: int) -> int:
        """Return the label of picture `index`; see `LabelledSource.class_label`."""
        return self._labels[index]


def classes_of(source: Any) -> tuple[list[str], list[str]]:
    """Return the class of each picture of a source, and all classes in order.

    Args:
        source: any that `image_source` returns. One that knows its classes has a method
            ``classes()``. Of an `ImageFolder` or `ImageZip` ``dataset.json`` decides, as
            StyleGAN3's tool writes it: ``{"labels": [["00000/img00000000.png", 3], …]}``; classes
            are then called by their numbers, unless it has ``"class_names"``, too. Where there is
            none, each sub-folder at the top is a class.

    Raises:
        UserError: if a picture has no class, or the file cannot be used.
    """
    if not hasattr(source, "read"):
        found = source.classes() if hasattr(source, "classes") else None
        if found is None:
            raise UserError(f"data.labels=true: no labels are read from {source.path}")
        classes, names = found
        return classes, names
    try:
        content = source.read(JSON)
        described: Any = {} if content is None else json.loads(content)
        numbers = None if content is None else _numbers(described)
    except Exception as error:  # whatever a damaged file leads to
        raise UserError(
            f"data.labels=true: {JSON} of {source.path} cannot be used ({first_line(error)}); "
            'it must be like {"labels": [["00000/img00000000.png", 3], …]}'
        ) from error
    if numbers is None:
        return _folders(source)
    missing = next((path for path in source.paths() if path not in numbers), None)
    if missing is not None:
        raise UserError(
            f"data.labels=true: {JSON} of {source.path} has no label for {printable(missing)}; "
            "add it, or take the image out"
        )
    labels = [numbers[path] for path in source.paths()]
    return numbered(labels, source.path, described.get("class_names") or ())


def numbered(
    labels: Sequence[int], where: Any, names: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Return the class of each picture, and all classes in order, where files have numbers.

    Args:
        labels: the numbers, at least one.
        where: they are, for the message.
        names: what the classes are called; used if there is a different one for each.

    Raises:
        UserError: if a number is none of a class.
    """
    low, high = min(labels), max(labels)
    if low < 0 or high >= MOST:
        raise UserError(
            f"data.labels=true: {where} has labels from {low} to {high}, not in 0..{MOST - 1}"
        )
    found = [str(name) for name in names] if isinstance(names, list) else []
    if high >= len(found) or len({*found}) < len(found):
        found = [str(number) for number in range(high + 1)]
    return [found[label] for label in labels], found


def _numbers(content: Any) -> dict[str, int]:
    """Return the label of each path."""
    labels = content.get("labels") if isinstance(content, dict) else None
    if not labels:
        raise ValueError("it has no labels")
    if not isinstance(labels, list) or any(
        not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str)
        for entry in labels
    ):
        raise ValueError("its labels are no list of pairs")
    for path, label in labels:
        if type(label) is not int or not 0 <= label < MOST:
            raise ValueError(
                f"the label of {printable(path)} is {label!r:.50}, no whole number in 0..{MOST - 1}"
            )
    return dict(labels)


def _folders(source: Any) -> tuple[list[str], list[str]]:
    """Take the folders at the top for classes."""
    classes = []
    for path in source.paths():
        folder, *rest = PurePosixPath(path).parts
        if not rest:
            raise UserError(
                f"data.labels=true: {printable(path)} of {source.path} lies in no sub-folder, "
                f"which would be its class; move it into one, or write a {JSON}"
            )
        classes.append(printable(folder))
    return classes, sorted(set(classes))


def unknown_class(name: str, title: str, class_names: Sequence[str]) -> UserError:
    """Return the error of a picture whose class is not among those there are."""
    return UserError(
        f"data.class_names: {title} is of the class {printable(name)}, which is not among "
        f"{listed(class_names)}; take it out, or name its class there"
    )


def listed(names: Sequence[str]) -> str:
    """Return class names for a message, the first ones where there are many."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, … ({len(names)} in all)"
