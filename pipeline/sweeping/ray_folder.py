"""Ray's temporary folder: short enough for the sockets in it, and none left of sweeps that were killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

PREFIX = "gram-ray-"
LONGEST = 44
"""Characters of its path. Ray adds up to 63 (/session_DATE_TIME_PID/sockets/plasma_store), and the path of a
socket has at most 107."""
_ELSEWHERE = ("/tmp", "/var/tmp")
_LOCK = "lock"


class ClusterError(ValueError):
    """Machines that cannot be used; the message says which and what to do."""


def make() -> tuple[Path, IO[bytes]]:
    """Make the folder; returns it and its lock, which this process holds until it closes or ends.

    Leftovers of processes that are gone are removed.

    Raises:
        ClusterError: no place for temporary files has a path that is short enough.
    """
    for place in _places():
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError:
            continue
        aside = (folder / f".{_LOCK}").open("wb")
        fcntl.flock(aside, fcntl.LOCK_EX)
        (folder / f".{_LOCK}").rename(folder / _LOCK)  # held from its first moment
        for other in _abandoned(place):
            remove(other)
        return folder, aside
    raise ClusterError(
        f"TMPDIR = {tempfile.gettempdir()}: its path is too long for Ray's sockets, or it cannot be written, "
        f"and so cannot {' and '.join(_ELSEWHERE)}: set TMPDIR to a folder of at most "
        f"{LONGEST - len(PREFIX) - 9} characters"
    )


def remove(folder: Path) -> None:
    """Delete it with all that Ray wrote."""
    shutil.rmtree(folder, ignore_errors=True)


def _places() -> list[str]:
    """Folders for temporary files whose paths are short enough, the user's own choice first."""
    own = os.path.abspath(tempfile.gettempdir())
    return [
        place
        for place in dict.fromkeys([own, *_ELSEWHERE])
        if len(place) + 1 + len(PREFIX) + 8 <= LONGEST  # mkdtemp adds 8 characters
    ]


def _abandoned(place: str) -> Iterator[Path]:
    """Folders of this kind, of this user, whose lock nobody holds."""
    for folder in Path(place).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield folder
