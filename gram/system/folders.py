"""Folders and files that appear whole or not at all, whatever interrupts the writing.

They are written aside, in a hidden folder beside their place whose name tells the machine and the process,
and then take the place of what was there. A symbolic link to a folder is followed, and stays; one to a file
is replaced, as what it leads to may be somebody else's, such as DVC's cache.
"""

import ctypes
import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gram.system.locks import is_alive

PARTIAL = ".partial"
_BEFORE = ".before"
_LEFT = r"\.(?P<of>{})\.(?:(?P<host>[^.]+)-(?P<pid>\d+)\.partial|partial|old)"
"""Names of what is aside; the last two are those of versions before."""
_EXCHANGE, _HERE = 2, -100
"""Of Linux: RENAME_EXCHANGE, AT_FDCWD."""
_NO_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Errors of a disk, which name no file when they come in the middle of one."""


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files aside, make them durable, then put the folder in place of what was there.

    Raises:
        OSError: something cannot be written; what was at `path` before is intact.
    """
    with replacing(path) as aside:
        for name, content in files.items():
            _write_durably(aside / name, content)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; what a symbolic link or a hard link at `path` leads to stays.

    Raises:
        OSError: it cannot be written, and is named; what was at `path` before is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    try:
        with naming(path):
            _write_durably(aside, content)
            aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """An empty folder, which takes the place of `path` when the block ends well, and vanishes when not.

    Args:
        path: a folder, a link to one, or nothing.
        alone: no other process writes there: all that others left aside goes, not only what processes of
            this machine left that are no more.
    """
    target = real(path)
    sweep(target, alone=alone)
    around = _aside(target)
    fresh = around / target.name
    try:
        fresh.mkdir(parents=True)
        yield fresh
        _replace(target, fresh, around / _BEFORE)
    finally:
        _discard(around, target)
    _make_durable(target.parent)


def real(path: Path) -> Path:
    """The place that a path leads to, through all symbolic links.

    Raises:
        OSError: they lead nowhere, in a circle.
    """
    place = Path(os.path.realpath(path))
    if place.is_symlink():
        raise OSError(f"{path} is a symbolic link that leads back to itself: remove it")
    return place


def sweep(path: Path, *, alone: bool = False) -> None:
    """Remove what dead processes left aside of `path`; what one had moved away from there comes back.

    Args:
        path: of a folder or a file.
        alone: no other process writes there: what processes of other machines left goes, too.
    """
    if not path.parent.is_dir():
        return
    _sweep(path.parent, re.compile(_LEFT.format(re.escape(path.name))), alone=alone)


def sweep_inside(folder: Path) -> None:
    """Remove what any process left aside in a folder that nobody else writes to now."""
    if folder.is_dir():
        _sweep(folder, re.compile(_LEFT.format(".+?")), alone=True)


def leftover(path: Path) -> Path | None:
    """What some process wrote of `path` and did not finish, if anything lies there."""
    left = re.compile(_LEFT.format(re.escape(path.name)))
    older = f"{path.name}{PARTIAL}"
    there = path.parent.iterdir() if path.parent.is_dir() else ()
    return next((entry for entry in there if left.fullmatch(entry.name) or entry.name == older), None)


def remove_folder(path: Path) -> None:
    """Remove a folder, if there is one; a symbolic link to it stays, with nothing at its end."""
    if (place := real(path)).is_dir():
        shutil.rmtree(place)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have errors of a disk, such as that it is full, name what was written."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        name = error.filename or path
        raise OSError(f"{name} cannot be written ({error.strerror}): make room and run again") from error


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}{PARTIAL}")


def _machine() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname())


def _sweep(folder: Path, pattern: re.Pattern[str], *, alone: bool) -> None:
    for entry in list(folder.iterdir()):
        found = pattern.fullmatch(entry.name)
        if found is None:
            continue
        pid, host = int(found["pid"] or 0), found["host"] or _machine()
        if alone or (host == _machine() and (pid in (0, os.getpid()) or not is_alive(pid))):
            target = folder / found["of"]
            if entry.suffix == ".old" and not target.exists():
                entry.rename(target)
            else:
                _discard(entry, target)


def _discard(entry: Path, target: Path) -> None:
    """Remove what is aside of `target`, which comes back if it had been moved there."""
    before = entry / _BEFORE
    if before.exists() and not target.exists():
        before.rename(target)
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _replace(target: Path, fresh: Path, before: Path) -> None:
    """Exchange two folders at once where the file system can; else the old one makes way first."""
    if not target.exists():
        fresh.rename(target)
    elif not _exchange(fresh, target):
        target.rename(before)
        try:
            fresh.rename(target)
        except OSError:
            before.rename(target)
            raise


def _exchange(one: Path, other: Path) -> bool:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):  # another system than Linux
        return False
    if renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_durable(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
