"""Signals that end a command with one line and exit code 128 + the signal's number.

A command that still starts ends at once (`end_at_once`); a stage at work removes partial output first
(`stoppable`). Loops that stop between two steps use `pipeline.runtime.signals`.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.cli.console import say
from pipeline.cli.exit_codes import killed_by

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
TOGETHER_SECONDS = 3.0
"""Seconds within which signals are one request: schedulers signal processes and their script."""
Handler = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """Request of a signal to end; libraries clean up for it as for Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_at_once(name: str) -> None:
    """Let signals end the command `name` from now on, without clean-up."""
    _install(lambda number, frame: _exit(name, number))


@contextmanager
def raised(name: str) -> Iterator[None]:
    """Context in which a signal raises Stopped; another one, TOGETHER_SECONDS later or more, ends at once."""
    first: float | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if first is None:
            first = time.monotonic()
            raise Stopped(number)
        if time.monotonic() - first > TOGETHER_SECONDS:
            _exit(name, number)

    before = _install(stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stoppable(name: str, work: Callable[[], int]) -> int:
    """Run work that a signal may stop, and return its exit code, or 128 + the signal's number."""
    try:
        with raised(name):
            return work()
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        _tell(name, number)
        return killed_by(number)


def _install(handler: Handler) -> dict[signal.Signals, signal.Handlers | Handler | int | None]:
    """Set a handler for all signals of ENDING that are not ignored, and return the previous handlers."""
    if threading.current_thread() is not threading.main_thread():
        return {}  # signals reach the main thread alone
    kept = (signal.SIG_IGN, None)  # None: handler of a C library, which could not be restored
    return {n: signal.signal(n, handler) for n in ENDING if signal.getsignal(n) not in kept}


def heard(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Filter signals that this process handles: nohup makes it ignore SIGHUP."""
    return [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]


def _exit(name: str, number: int) -> None:
    _tell(name, number)
    os._exit(killed_by(number))


def _tell(name: str, number: int) -> None:
    if os.environ.get("RANK", "0") == "0":  # only the first of several processes prints
        say(f"{name}: stopped by {signal.Signals(number).name}")
