"""Access to the files of a data set, in a folder or a zip."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from gram.data.format import DatasetError
from gram.system.folders import PARTIAL, leftover

LABELS = "dataset.json"
MAX_BYTES = 2**28
"""Default maximum size of a file."""


@runtime_checkable
class Storage(Protocol):
    """Set of named files; names are relative and use forward slashes.

    `names` omits metadata of macOS and the content of linked folders, which `has` finds nevertheless. A
    single top-level folder is stripped from names.
    """

    names: frozenset[str]

    def has(self, name: str) -> bool:
        """True if there is a file of that name."""
        ...

    def read(self, name: str, *, max_bytes: int = MAX_BYTES) -> bytes:
        """Read a file; DatasetError if it is too large or damaged."""
        ...


class FolderStorage:
    """Files below a folder."""

    def __init__(self, root: Path) -> None:
        names = _without_junk(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        top = _only_folder(names)
        self._root = root / top
        self.names = frozenset(name.removeprefix(top) for name in names)

    def has(self, name: str) -> bool:
        """True if there is a file of that name."""
        return name in self.names or (self._root / name).is_file()

    def read(self, name: str, *, max_bytes: int = MAX_BYTES) -> bytes:
        """Read a file."""
        with (self._root / name).open("rb") as file:
            _require_size(name, self._root, os.fstat(file.fileno()).st_size, max_bytes)
            return file.read(max_bytes)


class ZipStorage:
    """Files in a zip archive; usable from several threads and after a fork."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        members = _without_junk(name for name in self._archive().namelist() if not name.endswith(("/", "\\")))
        self._members = _by_name(members, path)
        top = _only_folder(self._members)
        self._members = {name.removeprefix(top): member for name, member in self._members.items()}
        self.names = frozenset(self._members)

    def has(self, name: str) -> bool:
        """True if there is a file of that name."""
        return name in self.names

    def read(self, name: str, *, max_bytes: int = MAX_BYTES) -> bytes:
        """Read a file."""
        try:
            archive = self._archive()
            member = archive.getinfo(self._members[name])
            _require_size(name, self._path, member.file_size, max_bytes)
            if member.flag_bits & 1:
                raise DatasetError(f"{name} in {self._path} is encrypted: pack the zip without a password")
            with archive.open(member) as file:
                return file.read(max_bytes)
        except (DatasetError, FileNotFoundError):
            raise
        except Exception as error:  # decoders of damaged members raise anything
            raise DatasetError(
                f"{name} in {self._path} cannot be unpacked ({error}): pack the zip again, with deflate"
            ) from error

    def _archive(self) -> zipfile.ZipFile:
        """Open a handle for each thread, since a handle has one file position."""
        opened = getattr(self._local, "opened", None)
        if opened is None or opened[0] != os.getpid():
            self._local.opened = opened = (os.getpid(), _open_zip(self._path))
        return opened[1]

    def __getstate__(self) -> dict[str, object]:
        return {"_path": self._path, "names": self.names, "_members": self._members}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()


def open_storage(path: Path) -> Storage:
    """Open a folder or zip; DatasetError if the path is missing or neither."""
    if path.is_dir():
        return FolderStorage(path)
    if not path.exists():
        hint = ""
        if partial_path(path).exists():
            hint = f" ({partial_path(path).name} is left over from an interrupted run; run it again)"
        raise DatasetError(
            f"there is no data set at {path}{hint}; check the path, or make one with the prepare stage"
        )
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{path} is neither a folder nor a zip archive; give a folder or a zip with PNGs and dataset.json"
        )
    return ZipStorage(path)


def partial_path(path: Path) -> Path:
    """Path of the leftover of an interrupted run, which exists only if there was one."""
    return leftover(path) or path.with_name(path.name + PARTIAL)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # parsers of damaged archives raise anything
        raise DatasetError(f"{path} is a damaged zip archive ({error}): copy or pack it again") from error


def _by_name(members: Iterable[str], path: Path) -> dict[str, str]:
    """Map names with forward slashes to names in the archive."""
    by_name: dict[str, str] = {}
    for member in members:
        name = member.replace("\\", "/")
        if by_name.setdefault(name, member) != member:
            raise DatasetError(
                f"{path} holds {member!r} and {by_name[name]!r}: pack it again with one of them"
            )
    return by_name


def _without_junk(names: Iterable[str]) -> list[str]:
    return [name for name in names if not any(map(_is_junk, name.replace("\\", "/").split("/")))]


def _is_junk(part: str) -> bool:
    return part in ("__MACOSX", ".DS_Store") or part.startswith("._")


def _only_folder(names: Iterable[str]) -> str:
    """Name of the only top-level folder, with a slash; empty if labels are at the top level."""
    tops = {name.partition("/")[0] for name in names}
    return f"{top}/" if len(tops) == 1 and f"{(top := tops.pop())}/{LABELS}" in set(names) else ""


def _require_size(name: str, path: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise DatasetError(f"{name} in {path} has {size:,} bytes, more than {max_bytes:,}: replace the file")
