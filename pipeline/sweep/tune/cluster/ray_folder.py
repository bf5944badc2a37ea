"""Ray's temporary folder: short enough for the sockets in it, and none left of sweeps that were killed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gram.system import scratch

PREFIX = "gram-ray-"
LONGEST = 44
"""Characters of its path. Ray adds up to 63 (/session_DATE_TIME_PID/sockets/plasma_store), and the path of a
socket has at most 107."""
_ELSEWHERE = ("/tmp", "/var/tmp")


class ClusterError(ValueError):
    """Machines that cannot be used; the message says which and what to do."""


@contextmanager
def made() -> Iterator[Path]:
    """The folder, which goes at the end with all that Ray wrote.

    Raises:
        ClusterError: no place for temporary files has a path that is short enough.
    """
    for place in _places():
        with ExitStack() as kept:
            try:
                folder = kept.enter_context(scratch.folder(PREFIX, place))
            except OSError:
                continue
            yield folder
            return
    raise ClusterError(
        f"TMPDIR = {tempfile.gettempdir()}: its path is too long for Ray's sockets, or it cannot be written, "
        f"and so cannot {' and '.join(_ELSEWHERE)}: set TMPDIR to a folder of at most "
        f"{LONGEST - scratch.name_length(PREFIX) - 1} characters"
    )


def _places() -> list[str]:
    """Folders for temporary files whose paths are short enough, the user's own choice first."""
    own = os.path.abspath(tempfile.gettempdir())
    return [
        place
        for place in dict.fromkeys([own, *_ELSEWHERE])
        if len(place) + 1 + scratch.name_length(PREFIX) <= LONGEST
    ]
