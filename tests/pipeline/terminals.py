"""Commands on a terminal: a pty of a given width, as users have it."""

import fcntl
import os
import pty
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

HEIGHT = 40
PATIENCE = 400
"""Seconds until a command counts as stuck."""


def in_terminal(width: int, work: Callable[[], int]) -> tuple[int, str]:
    """Exit code of `work`, done by a fork of this process, and all that a terminal of that width shows."""
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, width, 0, 0))
        code = 70
        try:
            code = work()
        finally:
            os._exit(code)
    try:
        shown = _read_to_the_end(terminal)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def run(width: int, command: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """The same for a program."""

    def replace() -> int:
        os.execvpe(command[0], list(command), {**os.environ, **variables})

    return in_terminal(width, replace)


def _read_to_the_end(terminal: int) -> str:
    shown, deadline = bytearray(), time.monotonic() + PATIENCE
    try:
        while part := os.read(terminal, 65536):
            shown += part
            if time.monotonic() > deadline:
                pytest.fail(f"still running after {PATIENCE} s: {shown[-2000:]!r}")
    except OSError:  # how Linux says that nobody has the terminal open any more
        pass
    finally:
        os.close(terminal)
    return shown.decode(errors="replace")
