"""Console output: results to stdout, messages to stderr, both with secrets masked.

That includes output of libraries: warnings, logs, tracebacks. No failure to write ends a command (closed
pipe, lost terminal, full disk, encoding without the character): the text is lost, and `lost_result` reports
it.
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
"""First error in writing, by file descriptor."""


def write(text: str) -> None:
    """Write a result to stdout."""
    sys.stdout.write(redacted(text))
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a message to stderr."""
    sys.stderr.write(redacted(text) + "\n")
    sys.stderr.flush()


def lost_result() -> str | None:
    """Error that lost a result on stdout, or None; a pipe that its reader closed is no error."""
    error = _lost.get(1)
    return None if error is None or error.errno == errno.EPIPE else error.strerror


class Lasting(io.FileIO):
    """Raw stream that falls back to /dev/null when it cannot be written, also for libraries and children."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write bytes and return their number; never fails."""
        try:
            while (written := super().write(data)) is None:  # a program that shares it made it non-blocking
                select.select([], [self.fileno()], [])
        except OSError as error:
            _lost.setdefault(self.fileno(), error)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes
        return written


class Discreet(io.TextIOWrapper):
    """Text stream that masks the secrets of addresses."""

    def write(self, text: str, /) -> int:
        """Write text and return its length."""
        super().write(redacted(text))
        return len(text)


def make_lasting() -> None:
    """Replace stdout and stderr of this process by `Lasting` streams that mask secrets.

    Closed streams, stdin included, are opened as /dev/null: otherwise the next file would get their number,
    and a checkpoint would receive what libraries write to stderr.
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
    """Text stream in the encoding of the one it replaces; other characters are written as \\\\u1234."""
    raw = Lasting(descriptor)
    encoding = "utf-8" if before is None else before.encoding
    buffer = io.BufferedWriter(raw)
    at_lines = descriptor == 2 or raw.isatty()
    return Discreet(buffer, encoding=encoding, errors="backslashreplace", line_buffering=at_lines)
