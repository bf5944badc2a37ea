"""Signals that end a command: in one line, with exit code 128 + the signal's number.

While a command starts it ends at once (`end_at_once`): it has made nothing yet. A stage at work tidies up
first (`stoppable`): what is half written goes. Loops that stop between
two steps have `pipeline.runtime.signals`.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.cli.console import say

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
TOGETHER_SECONDS = 3.0
"""Signals within this time are one request: schedulers tell processes and the script that waits for them."""
Handler = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end; libraries tidy up for it as they do for Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_at_once(name: str) -> None:
    """Have signals end this command, named so, from now on, without tidying up."""
    _install(lambda number, frame: _exit(name, number))


@contextmanager
def raised(name: str) -> Iterator[None]:
    """While entered, a signal raises Stopped; another one, TOGETHER_SECONDS later or more, ends at once."""
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
    """Do work that a signal may stop, and return its exit code, or 128 + the signal's number."""
    try:
        with raised(name):
            return work()
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        _tell(name, number)
        return 128 + number


def _install(handler: Handler) -> dict[signal.Signals, signal.Handlers | Handler | int | None]:
    """Set a handler for what is not ignored, as it is in a script's background; returns those before it."""
    if threading.current_thread() is not threading.main_thread():
        return {}  # signals reach the main thread alone
    kept = (signal.SIG_IGN, None)  # None: of a library in C, which cannot be set again
    return {n: signal.signal(n, handler) for n in ENDING if signal.getsignal(n) not in kept}


def heard(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Those of some signals that this process is not to ignore; nohup has it ignore SIGHUP."""
    return [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]


def _exit(name: str, number: int) -> None:
    _tell(name, number)
    os._exit(128 + number)


def _tell(name: str, number: int) -> None:
    if os.environ.get("RANK", "0") == "0":  # of processes that train together, one talks
        say(f"{name}: stopped by {signal.Signals(number).name}")
