"""What shards can be: tar files, or a data set of the Hugging Face hub."""

import importlib
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from fpainter.data.labels import unknown_class
from fpainter.data.libraries import library
from fpainter.data.sources import MAX_BYTES, SUFFIXES, printable, sha256
from fpainter.data.streaming.shards import Sample
from fpainter.errors import UserError, first_line

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# A scheme has two letters at least, so that C:\ is none.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
# Data sets of single files can have a million of them, and each costs a moment to begin with.
_MOST_SHARDS = 1024


class TarShards:
    """Tar files of images, as the webdataset library writes them.

    Members that share a folder and a name up to its first dot, one after the other, are one
    sample, and its first member with the suffix of an image is its image. Local files, compressed
    or not, need no library; braces and URLs need webdataset.

    Args:
        shards: a folder of tar files, a tar file, a URL that webdataset opens (http, https, gs,
            hf, …), either of the last two with braces such as `{000..099}`, or a list of these.
        class_names: what the labels are called, which are then read: numbers in the samples' member
            ``.cls``. None: they are not read.

    Raises:
        UserError: if there is none, one is not there, or webdataset is needed and not installed.
    """

    def __init__(
        self, shards: str | Iterable[str], class_names: Sequence[str] | None = None
    ) -> None:
        self.class_names = tuple(map(str, class_names or ()))
        places = [shards] if isinstance(shards, str) else list(shards)
        self.titles = [title for place in places for title in _expand(str(place))]
        if not self.titles:
            raise UserError("data.shards is an empty list; give tar files, a folder or URLs")
        for title in self.titles:
            if not is_url(title):
                if not Path(title).is_file():
                    raise UserError(f"data.shards: there is no folder or tar file {title}")
            elif title.lower().startswith("pipe:") and os.environ.get("FPAINTER_PIPE") != "1":
                # A checkpoint names its data, and to score it must not run what it names.
                raise UserError(
                    f"data.shards: {title} runs a command; if it is yours, set the environment "
                    "variable FPAINTER_PIPE=1"
                )
            else:
                library("webdataset.gopen", "fpainter[webdataset]", f"data.shards={title}")
        self.name = PurePosixPath(self.titles[0]).parent.name or "shards"

    def fingerprint(self) -> str:
        """Return the sha256 over local files' names, sizes and modification times, and URLs."""
        files = [title if is_url(title) else _status(title) for title in self.titles]
        return sha256(files, self.class_names) if self.class_names else sha256(files)

    def read(self, shard: int) -> Iterator[Sample]:
        """Yield the images of one tar file; see `Shards.read`.

        Raises:
            UserError: if labels are to be read, and one is missing or no class.
        """
        if not self.class_names:
            yield from (sample for _, sample in self._members(shard) if isinstance(sample, Sample))
            return
        # The label of a sample can stand before its image or behind it.
        held: tuple[PurePosixPath, Sample] | None = None
        labels: dict[PurePosixPath, int] = {}
        for key, found in self._members(shard):
            if isinstance(found, int):
                labels[key] = found
                continue
            if held is not None:
                yield _with_label(*held, labels)
            held = key, found
        if held is not None:
            yield _with_label(*held, labels)

    def _members(self, shard: int) -> Iterator[tuple[PurePosixPath, "Sample | int"]]:
        """Yield the images and, where they are to be read, the labels, with their samples' keys."""
        title = self.titles[shard]
        key = None
        with (
            closing(_open(title)) as file,
            tarfile.open(fileobj=file, mode="r|*") as tar,
        ):
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isfile() or path.name.startswith("."):
                    continue
                own = path.parent / path.name.split(".", 1)[0]
                if self.class_names and path.suffix == ".cls" and member.size < 100:
                    content = tar.extractfile(member)
                    assert content is not None
                    yield own, self._label(content.read(), f"{title}:{printable(member.name)}")
                if own != key and path.suffix.lower() in SUFFIXES:
                    key = own
                    name = f"{title}:{printable(member.name)}"
                    if member.size > MAX_BYTES:
                        # Left out like an image that is damaged.
                        yield own, Sample(f"{name} ({member.size} bytes, too large)", b"")
                        continue
                    content = tar.extractfile(member)
                    assert content is not None
                    yield own, Sample(name, content.read())
            # tarfile takes any end for the end. A whole archive has two blocks of zeros there, of
            # which it has read one.
            assert tar.fileobj is not None
            if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("it has no end mark, so a part of it is missing")

    def _label(self, content: bytes, name: str) -> int:
        text = content.decode("utf-8", "replace").strip()
        if text.isdecimal() and int(text) < len(self.class_names):
            return int(text)
        raise UserError(
            f"{name}: holds {printable(text)}, no label in 0..{len(self.class_names) - 1}; "
            "data.class_names= must name all classes"
        )


class DatasetShards:
    """A data set of the Hugging Face hub, or a local folder that `datasets` can load, streamed.

    Args:
        path: `owner/name` on the hub, or a folder of Parquet files, of images, ….
        name: which configuration of it; None for its only one.
        split: which part.
        column: which column holds the images.
        label_column: which column, of the type ClassLabel, holds their labels; None for none.
        class_names: the classes in the order of the labels; None for the order of the column.

    Raises:
        UserError: if `datasets` is not installed, or there is no such data set, configuration,
            part or column.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        split: str = "train",
        column: str = "image",
        label_column: str | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        datasets = library("datasets", "fpainter[hf]", f"data.path={path}")
        local = Path(path).expanduser()
        try:
            builder = datasets.load_dataset_builder(str(local) if local.is_dir() else path, name)
            rows = builder.as_streaming_dataset(split=split)
            columns = rows.column_names or list(next(iter(rows), {}))
        except Exception as error:  # of several libraries
            which = f"data.path={path}, data.name={name}, data.split={split}"
            raise UserError(f"{which}: cannot be streamed ({first_line(error)})") from error
        if column not in columns:
            raise UserError(
                f"data.column={column}: {path} has the columns {', '.join(columns) or '(none)'}"
            )
        stored = (rows.features or {}).get(column)
        if isinstance(stored, datasets.Value) and not stored.dtype.endswith(("binary", "string")):
            raise UserError(f"data.column={column}: {path} has {stored.dtype} there, not images")
        wanted = [column]
        self.class_names: tuple[str, ...] = ()
        self._label_column = label_column
        if label_column is not None:
            kind = (rows.features or {}).get(label_column)
            if not isinstance(kind, datasets.ClassLabel):
                raise UserError(
                    f"data.label_column={label_column}: {path} has no column of classes "
                    "(ClassLabel) of this name"
                )
            self._names = list(kind.names)
            self.class_names = tuple(map(str, class_names or kind.names))
            wanted.append(label_column)
        self._rows = rows.select_columns(wanted).cast_column(column, datasets.Image(decode=False))
        self._column = column
        num_shards = min(rows.num_shards, _MOST_SHARDS)
        self._fingerprint = [builder.hash, builder.config.name, split, column]
        if label_column is not None:
            self._fingerprint += [label_column, self.class_names]
        self.name = "-".join(filter(None, (PurePosixPath(path).name, name, split)))
        self.titles = [f"{path} {split} {number + 1}/{num_shards}" for number in range(num_shards)]

    def fingerprint(self) -> str:
        """Return the sha256 over what `datasets` knows of the files: revisions or times."""
        return sha256(self._fingerprint)

    def read(self, shard: int) -> Iterator[Sample]:
        """Yield the images of one shard; see `Shards.read`."""
        rows = self._rows.shard(num_shards=len(self.titles), index=shard)
        for number, row in enumerate(rows):
            stored = row[self._column] or {"bytes": b"", "path": None}
            title = printable(stored["path"] or "") or f"{self.titles[shard]}, image {number + 1}"
            data = stored["bytes"]
            if data is None:  # a folder of images names its files only
                with importlib.import_module("fsspec").open(stored["path"], "rb") as file:
                    data = file.read()
            yield Sample(title, data, self._label(row, title))

    def _label(self, row: dict[str, Any], title: str) -> int | None:
        if self._label_column is None:
            return None
        number = row[self._label_column]
        if number is None or number < 0:  # -1 stands for an unknown label
            raise UserError(f"data.label_column={self._label_column}: {title} has no label there")
        name = self._names[number]
        if name not in self.class_names:
            raise unknown_class(name, title, self.class_names)
        return self.class_names.index(name)


def is_url(place: str) -> bool:
    """Say whether a shard is to be fetched and not a path on this machine."""
    return _URL.match(place) is not None


def absolute(place: Any, key: str) -> Any:
    """Return where data lie so that it holds in any directory.

    Args:
        place: a path, a URL, the name of a data set, or a list of these; none but paths change.
        key: the key of the config that gives it: `shards` can be URLs, and `path` is a name
            unless there is such a folder.
    """
    if not isinstance(place, str):
        return [absolute(part, key) for part in place]
    path = os.path.abspath(os.path.expanduser(place))
    elsewhere = (key == "shards" and is_url(place)) or (key == "path" and not os.path.isdir(path))
    return place if elsewhere else path


def _expand(place: str) -> list[str]:
    """Return the tar files of a folder, or what the braces of a path or URL stand for."""
    path = place if is_url(place) else os.path.expanduser(place)
    if os.path.isdir(path):
        found = [
            os.path.join(path, name)
            for name in sorted(os.listdir(path))
            if name.lower().endswith(_TAR) and not name.startswith(".")
        ]
        if not found:
            raise UserError(f"data.shards={place}: no tar files in this folder")
        return found
    if "{" not in path:
        return [path]
    return library(
        "webdataset.shardlists", "fpainter[webdataset]", f"data.shards={place}"
    ).expand_urls(path)


def _open(title: str) -> Any:
    if not is_url(title):
        return open(title, "rb")
    return library("webdataset.gopen", "fpainter[webdataset]", f"data.shards={title}").gopen(title)


def _with_label(key: PurePosixPath, sample: Sample, labels: dict[PurePosixPath, int]) -> Sample:
    if key not in labels:
        raise UserError(f"data.labels=true: {sample.title} has no label, a member {key.name}.cls")
    return sample._replace(label=labels.pop(key))


def _status(path: str) -> tuple[str, int, int]:
    status = os.stat(path)
    return os.path.basename(path), status.st_size, status.st_mtime_ns
