"""Files of a data set, whether in a folder or in a zip."""

from __future__ import annotations

import os
import threading
import zipfile
from pathlib import Path
from typing import Protocol, runtime_checkable

from gram.data.format import DatasetError
from gram.folders import PARTIAL, left_aside


@runtime_checkable
class Storage(Protocol):
    """A set of named files; names are relative and use forward slashes."""

    names: frozenset[str]

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        ...


class FolderStorage:
    """The files below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.names = frozenset(
            path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
        )

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        return (self._root / name).read_bytes()


class ZipStorage:
    """The files in a zip archive; safe to use from several threads and after a fork."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self.names = frozenset(name for name in self._archive().namelist() if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        return self._archive().read(name)

    def _archive(self) -> zipfile.ZipFile:
        """This thread's own handle: handles share a file position."""
        opened = getattr(self._local, "opened", None)
        if opened is None or opened[0] != os.getpid():
            self._local.opened = opened = (os.getpid(), zipfile.ZipFile(self._path))
        return opened[1]

    def __getstate__(self) -> dict[str, object]:
        return {"_path": self._path, "names": self.names}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()


def open_storage(path: Path) -> Storage:
    """The files of a data set; DatasetError if there is nothing at the path, or no folder and no zip."""
    if path.is_dir():
        return FolderStorage(path)
    if not path.exists():
        hint = ""
        if partial_path(path).exists():
            hint = f" ({partial_path(path).name} is what an interrupted run left; run it again)"
        raise DatasetError(
            f"there is no data set at {path}{hint}; check the path, or make one with the prepare stage"
        )
    if not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{path} is neither a folder nor a zip archive; give a folder or a zip with PNGs and dataset.json"
        )
    return ZipStorage(path)


def partial_path(path: Path) -> Path:
    """What an interrupted run left of a data set; nothing is there where none did."""
    return left_aside(path) or path.with_name(path.name + PARTIAL)
