"""What every `python -m pipeline.COMMAND` does first, before imports that take seconds.

Signals end it in one line, the ends of its readers do not, and a stage that DVC started ends with DVC.
"""

import signal
import sys

from pipeline.cli import dvc_parent, ending, parent_death
from pipeline.cli.console import make_lasting


def begin() -> None:
    """Begin a command; do nothing in another program that imports this package."""
    if sys.argv[:1] == ["-m"]:  # while Python looks for the module
        make_lasting()
        ending.end_at_once(_name(sys.orig_argv))
        dvc_parent.end_with_dvc()


def begin_worker() -> None:
    """Begin a process that a command has started for a part of its work: it ends with the command alone."""
    make_lasting()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, too
    parent_death.hold()


def _name(words: list[str]) -> str:
    """Of the command, as it calls itself: train, of `python -u -m pipeline.train steps=1`."""
    at = next(index for index, word in enumerate(words) if index and word.startswith("-m"))
    module = words[at].removeprefix("-m") or words[at + 1]
    return module.rpartition(".")[2]
