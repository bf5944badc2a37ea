"""Where text for people goes: results to stdout, everything else to stderr, neither with secrets in it."""

import sys

from pipeline.redaction import redacted


def write(text: str) -> None:
    """A result that was asked for, to stdout."""
    sys.stdout.write(redacted(text))
    sys.stdout.flush()


def say(text: str) -> None:
    """A line about what happens, to stderr."""
    sys.stderr.write(redacted(text) + "\n")
    sys.stderr.flush()
