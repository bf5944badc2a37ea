"""Folders for temporary files that do not outlast who made them, even if that one is killed with SIGKILL.

Beside each lies a hidden lock, which its process holds, and which the kernel takes from it when it ends.
Whoever makes another folder of the kind removes those whose lock nobody holds any more.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gram.system import locks

_LETTERS = 8
_TRIES, _PAUSE = 20, 0.05
"""So often, and after so many seconds, a folder is removed in which dying processes still write."""


def name_length(prefix: str) -> int:
    """Characters of a folder's name."""
    return len(prefix) + _LETTERS


@contextmanager
def folder(prefix: str, place: str | None = None) -> Iterator[Path]:
    """A new folder, the user's alone, which goes at the end with all that is in it.

    Args:
        prefix: of its name, another one for each kind.
        place: where it is made; by default in TMPDIR.

    Raises:
        OSError: it cannot be made.
    """
    where = Path(place or tempfile.gettempdir()).absolute()
    path = where / f"{prefix}{os.urandom(_LETTERS // 2).hex()}"
    with locks.held(_lock(path), what=path, task=prefix.strip("-")):  # before there is a folder to remove
        _sweep(where, prefix)
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            _remove(path)


def _sweep(where: Path, prefix: str) -> None:
    """Remove folders of this kind and this user whose lock nobody holds; a folder without one stays."""
    for path in _locked(where, prefix):
        if locks.holder(_lock(path)) is None:
            with suppress(OSError, locks.BusyError), locks.held(_lock(path), what=path, task="removal"):
                _remove(path)


def _locked(where: Path, prefix: str) -> set[Path]:
    """Folders beside which a lock of this user lies, also one of a file system that knows none."""
    lock = re.compile(rf"\.({re.escape(prefix)}\w{{{_LETTERS}}})\.lock(\.held)?")
    found = set()
    for entry in where.iterdir():
        if known := lock.fullmatch(entry.name):
            with suppress(OSError):
                if entry.lstat().st_uid == os.getuid() and not entry.is_symlink():
                    found.add(where / known[1])
    return found


def _remove(path: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(path, ignore_errors=True)  # follows no link
        if not os.path.lexists(path):
            return
        time.sleep(_PAUSE)


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")
