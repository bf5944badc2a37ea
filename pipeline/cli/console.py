"""Where text for people goes: results to stdout, everything else to stderr, neither with secrets in it.

In commands that holds for what libraries write there, too: warnings, logs, and tracebacks of defects.
Whatever becomes of a reader ends no command: a pipe that is closed, a terminal that is gone, a full disk, an
encoding without the character. What cannot be written is lost; of results, that is noted.
"""

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

from pipeline.config.redaction import redacted

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_lost: dict[int, OSError] = {}
"""File descriptor -> the first error in writing to it."""


def write(text: str) -> None:
    """A result that was asked for, to stdout."""
    sys.stdout.write(redacted(text))
    sys.stdout.flush()


def say(text: str) -> None:
    """A line about what happens, to stderr."""
    sys.stderr.write(redacted(text) + "\n")
    sys.stderr.flush()


def lost_result() -> str | None:
    """Why results on stdout were lost, if they were and their reader did not close it."""
    error = _lost.get(1)
    return None if error is None or error.errno == errno.EPIPE else error.strerror


class Lasting(io.FileIO):
    """A stream to people: what cannot be written goes to /dev/null, also from libraries and children."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some bytes and return how many; never fails."""
        try:
            while (written := super().write(data)) is None:  # another program made it non-blocking
                select.select([], [self.fileno()], [])
        except OSError as error:
            _lost.setdefault(self.fileno(), error)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes
        return written


class Discreet(io.TextIOWrapper):
    """A stream to people that masks the secrets of addresses, whoever writes."""

    def write(self, text: str, /) -> int:
        """Write some text and return its length."""
        super().write(redacted(text))
        return len(text)


def make_lasting() -> None:
    """Have stdout and stderr of this process last, whatever becomes of them, and hold no secrets.

    Closed streams are opened as /dev/null, stdin too: the next file would have their number, and a checkpoint
    what libraries write to stderr.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = _stream(1, sys.stdout)
    sys.stderr = sys.__stderr__ = _stream(2, sys.stderr)


def _stream(descriptor: int, before: TextIO | None) -> io.TextIOWrapper:
    """Text in the encoding of the stream before it; characters that it lacks are written as \\\\u1234."""
    raw = Lasting(descriptor)
    encoding = "utf-8" if before is None else before.encoding
    buffer = io.BufferedWriter(raw)
    at_lines = descriptor == 2 or raw.isatty()
    return Discreet(buffer, encoding=encoding, errors="backslashreplace", line_buffering=at_lines)
