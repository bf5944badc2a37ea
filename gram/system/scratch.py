"""Temporary folders that are cleaned up even after SIGKILL.

Each has a hidden lock beside it, held by its process and released by the kernel when that ends. Creating
another folder of the same kind removes those whose lock is free.
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
"""Attempts to remove a folder that ending processes still write to, and seconds between them."""


def name_length(prefix: str) -> int:
    """Length of a folder's name."""
    return len(prefix) + _LETTERS


@contextmanager
def folder(prefix: str, place: str | None = None) -> Iterator[Path]:
    """Create a private folder, which is removed with its content at the end of the block.

    Args:
        prefix: prefix of its name, unique to each kind.
        place: parent folder; by default TMPDIR.

    Raises:
        OSError: the folder cannot be created.
    """
    parent = Path(place or tempfile.gettempdir()).absolute()
    path = parent / f"{prefix}{os.urandom(_LETTERS // 2).hex()}"
    with locks.held(_lock(path), what=path, task=prefix.strip("-")):  # before the folder exists
        _sweep(parent, prefix)
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            _remove(path)


def _sweep(parent: Path, prefix: str) -> None:
    """Remove folders of this kind and user whose lock is free; folders without a lock stay."""
    for path in _locked(parent, prefix):
        if locks.holder(_lock(path)) is None:
            with suppress(OSError, locks.BusyError), locks.held(_lock(path), what=path, task="removal"):
                _remove(path)


def _locked(parent: Path, prefix: str) -> set[Path]:
    """Folders with a lock file of this user beside them, also those of file systems without locks."""
    lock = re.compile(rf"\.({re.escape(prefix)}\w{{{_LETTERS}}})\.lock(\.held)?")
    folders = set()
    for entry in parent.iterdir():
        if match := lock.fullmatch(entry.name):
            with suppress(OSError):
                if entry.lstat().st_uid == os.getuid() and not entry.is_symlink():
                    folders.add(parent / match[1])
    return folders


def _remove(path: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(path, ignore_errors=True)  # follows no link
        if not os.path.lexists(path):
            return
        time.sleep(_PAUSE)


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")
