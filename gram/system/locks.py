"""Locks between processes: a file that one process holds, or that several share, on one machine or on many.

The kernel keeps them (flock), so that a lock ends with its holder, whatever ended that; Linux passes them on
to the servers of NFS. Where a file system knows none, a file that only one process can make stands in, which
is taken over from a process of this machine that is no more.
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
"""A look at a lock holds it for an instant, too: so often, and after so many seconds, it is tried again."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}


class BusyError(ValueError):
    """Another process holds what is asked for; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that holds a lock, as the lock's file tells; `task` is what it does with it."""

    pid: int
    host: str = ""
    since: str = ""
    task: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this machine, and is no more."""
        return self.host in ("", socket.gethostname()) and not is_alive(self.pid)

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        task = f" ({self.task})" if self.task else ""
        place = f" on {self.host}" if self.host else ""
        return f"process {self.pid}{task}{place}" + (f", since {self.since}" if self.since else "")


def is_alive(pid: int) -> bool:
    """Whether this machine has such a process."""
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
    """While entered, this process holds the lock; its file goes with the last holder.

    Args:
        path: of the lock's file, in a folder that exists.
        what: is locked, for the message of another process that wants it.
        task: what this process does with it.
        shared: with others that share it; none may hold it alone meanwhile. Where no file can be made, it is
            not held: what lies in a folder that cannot be written is not replaced either.
        patience: seconds to wait for another process.

    Raises:
        BusyError: another process holds it.
        OSError: the file cannot be made.
    """
    try:
        file = _acquired(path, what, shared=shared, patience=patience)
    except OSError as error:
        if not shared or error.errno not in _NO_PLACE:
            raise
        yield
        return
    if file is None:
        with _made_alone(path, what, task, shared=shared, patience=patience):
            yield
        return
    try:
        with suppress(OSError):  # on a full disk nobody learns who it is
            if not shared:
                os.ftruncate(file, 0)
            os.write(file, _line(task))
        yield
    finally:
        _release(file, path, shared=shared)


def holder(path: Path) -> Holder | None:
    """A process that holds a lock; None where nobody does."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return _alone(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _likeliest(path) or Holder(pid=0)
    finally:
        os.close(file)
    return _alone(path)


def _acquired(path: Path, what: object, *, shared: bool, patience: float) -> int | None:
    """The locked file; None where the file system knows no locks."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    for _ in _tries(patience):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            if _is_there(file, path):  # else its last holder removed it in between
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
    """Numbers of attempts, PAUSE apart: TRIES, or as many as there is time for."""
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
    except OSError:  # others share it still, or the folder is gone
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
def _made_alone(path: Path, what: object, task: str, *, shared: bool, patience: float) -> Iterator[None]:
    """The lock of a file system that knows none: a file that only one process can make.

    Those that would share it only look for one that holds it alone.
    """
    own = _own_file(path)
    other: Holder | None = None
    for _ in _tries(patience):
        if (other := _alone(path)) is not None:
            continue
        if shared:
            yield
            return
        own.unlink(missing_ok=True)
        try:
            file = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        os.write(file, _line(task))
        os.close(file)
        try:
            yield
        finally:
            own.unlink(missing_ok=True)
        return
    raise _busy(what, other, remedy=f"; if it is no more, remove {own}" if other else "")


def _own_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.held")


def _alone(path: Path) -> Holder | None:
    return _likeliest(_own_file(path))


def _likeliest(file: Path) -> Holder | None:
    """Who holds a lock: of those that its file names, another process before this one, which may have ended
    to share it.
    """
    named = _named_in(file)
    return next((one for one in named if one.pid != os.getpid()), named[-1] if named else None)


def _named_in(file: Path) -> list[Holder]:
    """Processes that a lock's file names, and that may be there still."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = [_read(line) for line in lines]
    return [one for one in found if one is not None and not one.is_gone]


def _read(line: str) -> Holder | None:
    try:
        content = json.loads(line)
        if isinstance(content, int):  # as versions before wrote it
            return Holder(pid=content)
        told = {name: str(content[name]) for name in ("host", "since", "task")}
        return Holder(pid=int(content["pid"]), **told)
    except (ValueError, TypeError, KeyError):
        return None


def _line(task: str) -> bytes:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    told = Holder(pid=os.getpid(), host=socket.gethostname(), since=since, task=task)
    return (json.dumps(asdict(told)) + "\n").encode()


def _busy(what: object, other: Holder | None, remedy: str = "") -> BusyError:
    by = other or "another process"
    return BusyError(f"{what} is in use by {by}: wait for it, or end it{remedy}")
