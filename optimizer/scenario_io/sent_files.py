"""Files that came along with a task: read as if they lay in their folder, and never written to the worker's disk."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO


@dataclass(frozen=True, kw_only=True, eq=False)
class SentFiles:
    """Contents of files of another machine.

    Args:
        root: Folder above them, there; nothing is looked up in it here.
        contents: Content of each by its place below the root, with slashes.
    """

    root: Path
    contents: Mapping[str, bytes]

    def at(self, place: str) -> SentPath:
        """A file or folder by its place below the root."""
        return SentPath(files=self, place=PurePosixPath(place))

    @cached_property
    def names(self) -> Mapping[PurePosixPath, set[str]]:
        """Names in each folder by its place."""
        found: dict[PurePosixPath, set[str]] = {}
        for place in map(PurePosixPath, self.contents):
            for below in (place, *place.parents[:-1]):
                found.setdefault(below.parent, set()).add(below.name)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPath:
    """A file or folder of another machine, with as much of `pathlib.Path` as it takes to read it.

    Two are equal that have the same place, whichever task they came with, as paths are; `version` tells contents apart.

    Args:
        files: What came from there.
        place: Below the root of the files.
    """

    files: SentFiles = field(compare=False)
    place: PurePosixPath

    @property
    def name(self) -> str:
        """As `Path.name`."""
        return self.place.name

    @property
    def suffix(self) -> str:
        """As `Path.suffix`."""
        return self.place.suffix

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.read_bytes())

    def __truediv__(self, name: str) -> SentPath:
        return SentPath(files=self.files, place=self.place / name)

    def __str__(self) -> str:
        return str(self.files.root / self.place)

    def iterdir(self) -> Iterator[SentPath]:
        """As `Path.iterdir`; nothing where there is no such folder."""
        return (self / name for name in sorted(self.files.names.get(self.place, ())))

    def exists(self) -> bool:
        """As `Path.exists`."""
        return self.is_file() or self.is_dir()

    def is_dir(self) -> bool:
        """As `Path.is_dir`."""
        return self.place in self.files.names

    def is_file(self) -> bool:
        """As `Path.is_file`."""
        return self.place.as_posix() in self.files.contents

    def open_binary(self) -> BinaryIO:
        """The content as a stream.

        Raises:
            FileNotFoundError: It did not come along.
        """
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """As `Path.read_bytes`.

        Raises:
            FileNotFoundError: It did not come along.
        """
        try:
            return self.files.contents[self.place.as_posix()]
        except KeyError:
            raise FileNotFoundError(f"{self} was not sent") from None


AnyPath = Path | SentPath
"""Where something can be read."""


def open_binary(path: AnyPath) -> BinaryIO:
    """The content of a file as a stream.

    Raises:
        OSError: It cannot be read.
    """
    return path.open("rb") if isinstance(path, Path) else path.open_binary()


def size_bytes(path: AnyPath) -> int:
    """Bytes of a file.

    Raises:
        OSError: It cannot be read.
    """
    return path.stat().st_size if isinstance(path, Path) else path.size


def version(path: AnyPath) -> int | bytes:
    """What is another one when the content of the file is: the time of the last change, or the content itself.

    Raises:
        OSError: It cannot be read.
    """
    return path.stat().st_mtime_ns if isinstance(path, Path) else path.read_bytes()
