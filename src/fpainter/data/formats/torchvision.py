"""Data sets that torchvision knows by name."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from fpainter.data.labels import numbered
from fpainter.data.libraries import library
from fpainter.data.sources import sha256
from fpainter.errors import UserError, first_line

# What is no fixed collection of images for which nothing but a folder must be known. LSUN's class
# unpickles a file of keys; `data=folder` reads LSUN's databases.
_OTHERS = {"DatasetFolder", "FakeData", "ImageFolder", "LSUN", "LSUNClass", "VisionDataset"}
_TARGETS = ("targets", "labels", "_labels", "y")


class TorchvisionImages:
    """The pictures of a data set of torchvision, as an `ImageSource`.

    Args:
        name: of the class, such as CIFAR10.
        dir: where its files are, or are put.
        download: fetch them if they are not there.
        options: further arguments of the class: ``{train: false}``, ``{split: test}``.

    Raises:
        UserError: if torchvision is not installed or has no such data set, its files are not there,
            or it does not consist of images.
    """

    def __init__(
        self, name: str, dir: str, download: bool = False, options: Mapping[str, Any] | None = None
    ) -> None:
        known = library("torchvision.datasets", "torchvision", f"data.name={name}")
        names = sorted(n for n in known.__all__ if n not in _OTHERS)
        if name not in names:
            raise UserError(f"data.name={name}: torchvision has no such images; {', '.join(names)}")
        kind = getattr(known, name)
        given = dict(options or {})
        if "download" in inspect.signature(kind).parameters:
            given["download"] = download
        try:
            self._images: Any = kind(dir, **given)
            first = self._images[0][0]
        except Exception as error:  # each class has its own
            advice = "" if download else "; data.download=true fetches what is missing"
            raise UserError(f"data.name={name}: {first_line(error)} (in {dir}){advice}") from error
        if not isinstance(first, Image.Image):
            raise UserError(f"data.name={name}: consists of {type(first).__name__}, not of images")
        self.name = "-".join([name, *(str(value) for value in (options or {}).values())])
        self.path = name

    def __len__(self) -> int:
        return len(self._images)

    def fingerprint(self) -> str:
        """Return the sha256 over what the data set is called and of its first and last picture."""
        ends = [self.open(index).tobytes() for index in (0, len(self) - 1)]
        return sha256(self.name, len(self), *ends)

    def title(self, index: int) -> str:
        """Return the picture's place in the data set."""
        return f"{self.name}[{index}]"

    def open(self, index: int) -> Image.Image:
        """Return picture `index`; see `ImageSource.open`."""
        picture: Image.Image = self._images[index][0]
        return picture

    def classes(self) -> tuple[list[str], list[str]] | None:
        """Return the class of each picture, and all classes in order; None if there are none."""
        found = (getattr(self._images, name, None) for name in _TARGETS)
        targets = next((each for each in found if each is not None), None)
        if targets is None or len(targets) != len(self):
            return None
        names: Sequence[Any] = getattr(self._images, "classes", None) or ()
        numbers = [int(target) for target in targets]
        return numbered(numbers, self.name, [str(name) for name in names])
