"""File locks between processes, exclusive or shared, on one machine or several.

They are the kernel's (flock) and end with their holder, also on NFS from Linux. On file systems without locks
an exclusively created file is used instead; that of an ended process of this machine is taken over.
"""

import errno
import fcntl
import itertools
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

TRIES, PAUSE = 5, 0.05
"""Attempts to acquire a lock, which queries hold for an instant, and seconds between them."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}


class BusyError(ValueError):
    """Lock held by another process; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Process that holds a lock, as written in the lock's file; `task` describes its purpose."""

    pid: int
    host: str = ""
    since: str = ""
    task: str = ""

    @property
    def is_gone(self) -> bool:
        """True if it was a process of this machine that has ended."""
        return self.host in ("", socket.gethostname()) and not is_alive(self.pid)

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        task = f" ({self.task})" if self.task else ""
        place = f" on {self.host}" if self.host else ""
        return f"process {self.pid}{task}{place}" + (f", since {self.since}" if self.since else "")


def is_alive(pid: int) -> bool:
    """True if this machine has a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


@contextmanager
def held(
    path: Path, *, what: object, task: str, shared: bool = False, patience: float = 0.0
) -> Iterator[None]:
    """Hold a lock within the block; its file is removed by the last holder.

    Args:
        path: path of the lock's file, in an existing folder.
        what: locked object, for messages of other processes.
        task: purpose of the lock, for messages of other processes.
        shared: share the lock with other processes that do. In a folder that is not writable it is not held,
            as nothing can be replaced there.
        patience: seconds to wait for another process.

    Raises:
        BusyError: another process holds it.
        OSError: the file cannot be created.
    """
    try:
        file = _acquired(path, what, shared=shared, patience=patience)
    except OSError as error:
        if not shared or error.errno not in _NO_PLACE:
            raise
        yield
        return
    if file is None:
        with _exclusive_file(path, what, task, shared=shared, patience=patience):
            yield
        return
    try:
        with suppress(OSError):  # on a full disk the holder stays unknown
            if not shared:
                os.ftruncate(file, 0)
            os.write(file, _line(task))
        yield
    finally:
        _release(file, path, shared=shared)


def holder(path: Path) -> Holder | None:
    """Process that holds a lock; None if it is free."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return _exclusive_holder(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _likeliest(path) or Holder(pid=0)
    finally:
        os.close(file)
    return _exclusive_holder(path)


def _acquired(path: Path, what: object, *, shared: bool, patience: float) -> int | None:
    """Open and lock the file; None on file systems without locks."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    for _ in _tries(patience):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            if _is_there(file, path):  # else its last holder removed it meanwhile
                return file
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(file)
                raise
            os.close(file)
            path.unlink(missing_ok=True)
            return None
        os.close(file)
    raise _busy(what, _likeliest(path))


def _tries(patience: float) -> Iterator[int]:
    """Yield numbers of attempts, PAUSE apart: TRIES, or as many as `patience` allows."""
    deadline = time.monotonic() + patience
    for attempt in itertools.count():
        if attempt >= TRIES and time.monotonic() > deadline:
            return
        time.sleep(PAUSE if attempt else 0)
        yield attempt


def _release(file: int, path: Path, *, shared: bool) -> None:
    try:
        if shared:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_there(file, path):
            path.unlink()
    except OSError:  # still shared, or the folder is gone
        pass
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)


def _is_there(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def _exclusive_file(path: Path, what: object, task: str, *, shared: bool, patience: float) -> Iterator[None]:
    """Hold an exclusively created file, on file systems without locks.

    Shared locks only check that there is no exclusive holder.
    """
    held_file = _held_file(path)
    other: Holder | None = None
    for _ in _tries(patience):
        if (other := _exclusive_holder(path)) is not None:
            continue
        if shared:
            yield
            return
        held_file.unlink(missing_ok=True)
        try:
            file = os.open(held_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        os.write(file, _line(task))
        os.close(file)
        try:
            yield
        finally:
            held_file.unlink(missing_ok=True)
        return
    raise _busy(what, other, remedy=f"; if it is no more, remove {held_file}" if other else "")


def _held_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.held")


def _exclusive_holder(path: Path) -> Holder | None:
    return _likeliest(_held_file(path))


def _likeliest(file: Path) -> Holder | None:
    """Choose the holder among the processes of a lock's file: another process rather than this one, whose
    entry may remain from an earlier shared lock.
    """
    holders = _holders(file)
    return next((h for h in holders if h.pid != os.getpid()), holders[-1] if holders else None)


def _holders(file: Path) -> list[Holder]:
    """Processes in a lock's file that may still be running."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    holders = [_read(line) for line in lines]
    return [holder for holder in holders if holder is not None and not holder.is_gone]


def _read(line: str) -> Holder | None:
    try:
        content = json.loads(line)
        if isinstance(content, int):  # written by earlier versions
            return Holder(pid=content)
        texts = {name: str(content[name]) for name in ("host", "since", "task")}
        return Holder(pid=int(content["pid"]), **texts)
    except (ValueError, TypeError, KeyError):
        return None


def _line(task: str) -> bytes:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=since, task=task)
    return (json.dumps(asdict(holder)) + "\n").encode()


def _busy(what: object, other: Holder | None, remedy: str = "") -> BusyError:
    by = other or "another process"
    return BusyError(f"{what} is in use by {by}: wait for it, or end it{remedy}")
