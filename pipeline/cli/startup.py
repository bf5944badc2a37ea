"""Start of every `python -m pipeline.COMMAND`, before imports that take seconds.

Signals end the command in one line, lost readers of its output do not end it, and stages end with their DVC.
"""

import signal
import sys

from pipeline.cli import dvc_parent, ending, parent_death
from pipeline.cli.console import make_lasting


def begin() -> None:
    """Begin a command; no effect in other programs that import this package."""
    if sys.argv[:1] == ["-m"]:  # the value while Python looks for the module
        make_lasting()
        ending.end_at_once(_name(sys.orig_argv))
        dvc_parent.end_with_dvc()


def begin_worker() -> None:
    """Begin a worker process of a command: only the end of the command ends it."""
    make_lasting()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, too
    parent_death.hold()


def _name(words: list[str]) -> str:
    """Name of the command: train, for `python -u -m pipeline.train steps=1`."""
    at = next(index for index, word in enumerate(words) if index and word.startswith("-m"))
    module = words[at].removeprefix("-m") or words[at + 1]
    return module.rpartition(".")[2]
