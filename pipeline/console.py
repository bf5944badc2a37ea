"""Where text for people goes: results to stdout, everything else to stderr."""

import sys


def write(text: str) -> None:
    """A result that was asked for, to stdout."""
    sys.stdout.write(text)
    sys.stdout.flush()


def say(text: str) -> None:
    """A line about what happens, to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
