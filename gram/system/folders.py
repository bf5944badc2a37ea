"""Atomic writing of folders and files.

They are written to a hidden folder beside the target, named after machine and process, and then replace the
target. A symbolic link to a folder is followed and kept; a link to a file is replaced, since its target may
belong to others, such as DVC's cache.
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
"""Names of temporary entries; the last two are those of earlier versions."""
_EXCHANGE, _HERE = 2, -100
"""Linux constants RENAME_EXCHANGE and AT_FDCWD."""
_NO_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Errors of a disk, which name no file if raised while writing one."""


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files atomically and durably (fsync).

    Raises:
        OSError: a file cannot be written; existing content of `path` stays intact.
    """
    with replacing(path) as aside:
        for name, content in files.items():
            _write_durably(aside / name, content)


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically; targets of a symbolic or hard link at `path` are not changed.

    Raises:
        OSError: the file cannot be written; existing content of `path` stays intact.
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
    """Yield an empty folder that replaces `path` on success, and is removed on failure.

    Args:
        path: folder, link to one, or missing.
        alone: no other process writes there: remove leftovers of all processes, not only of ended ones of
            this machine.
    """
    target = real(path)
    sweep(target, alone=alone)
    parent = _aside(target)
    fresh = parent / target.name
    try:
        fresh.mkdir(parents=True)
        yield fresh
        _replace(target, fresh, parent / _BEFORE)
    finally:
        _discard(parent, target)
    _make_durable(target.parent)


def real(path: Path) -> Path:
    """Resolve all symbolic links of a path.

    Raises:
        OSError: circular links.
    """
    resolved = Path(os.path.realpath(path))
    if resolved.is_symlink():
        raise OSError(f"{path} is a symbolic link that leads back to itself: remove it")
    return resolved


def sweep(path: Path, *, alone: bool = False) -> None:
    """Remove leftovers of ended processes for `path`, and restore previous content that one had moved away.

    Args:
        path: path of a folder or a file.
        alone: no other process writes there: remove leftovers of other machines, too.
    """
    if not path.parent.is_dir():
        return
    _sweep(path.parent, re.compile(_LEFT.format(re.escape(path.name))), alone=alone)


def sweep_inside(folder: Path) -> None:
    """Remove leftovers of all processes in a folder that no other process writes to."""
    if folder.is_dir():
        _sweep(folder, re.compile(_LEFT.format(".+?")), alone=True)


def leftover(path: Path) -> Path | None:
    """Find unfinished output of a process for `path`, if any."""
    left = re.compile(_LEFT.format(re.escape(path.name)))
    older = f"{path.name}{PARTIAL}"
    entries = path.parent.iterdir() if path.parent.is_dir() else ()
    return next((entry for entry in entries if left.fullmatch(entry.name) or entry.name == older), None)


def remove_folder(path: Path) -> None:
    """Remove a folder, if it exists; a symbolic link to it stays."""
    if (folder := real(path)).is_dir():
        shutil.rmtree(folder)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the path to errors of a disk, such as a full one."""
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
        match = pattern.fullmatch(entry.name)
        if match is None:
            continue
        pid, host = int(match["pid"] or 0), match["host"] or _machine()
        if alone or (host == _machine() and (pid in (0, os.getpid()) or not is_alive(pid))):
            target = folder / match["of"]
            if entry.suffix == ".old" and not target.exists():
                entry.rename(target)
            else:
                _discard(entry, target)


def _discard(entry: Path, target: Path) -> None:
    """Remove a temporary entry for `target`, after restoring previous content moved into it."""
    before = entry / _BEFORE
    if before.exists() and not target.exists():
        before.rename(target)
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _replace(target: Path, fresh: Path, before: Path) -> None:
    """Exchange two folders atomically if the file system can; otherwise move the old one away first."""
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
    except (AttributeError, OSError):  # not Linux
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
