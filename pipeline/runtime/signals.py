"""Signals that ask a stage to stop, turned into a question that its loop can ask between two steps."""

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from pipeline.cli.command import EXIT_HANGUP, EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.cli.console import say
from pipeline.cli.ending import TOGETHER_SECONDS, heard

_EXIT_CODES = {
    signal.SIGHUP: EXIT_HANGUP,
    signal.SIGINT: EXIT_INTERRUPTED,
    signal.SIGTERM: EXIT_REQUEUE,
    signal.SIGUSR1: EXIT_REQUEUE,
}


class Interrupts:
    """While entered, requests to stop only set `exit_code`; a second one acts at once.

    SIGHUP, of a terminal that is closed, is one unless nohup has it ignored.

    Args:
        promise: what is done until the end, in words.
        passed_on: called for the first request.
    """

    def __init__(
        self,
        promise: str = "finishing this step and writing a checkpoint",
        passed_on: Callable[[], object] = lambda: None,
    ) -> None:
        self._promise, self._passed_on = promise, passed_on
        self.exit_code: int | None = None
        self._noted = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in heard(_EXIT_CODES)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        caught = signal.Signals(number)
        if self.exit_code is not None:
            if time.monotonic() - self._noted > TOGETHER_SECONDS:
                self._restore()
                signal.raise_signal(caught)
            return
        self.exit_code, self._noted = _EXIT_CODES[caught], time.monotonic()
        self._passed_on()
        say(f"\n{caught.name}: {self._promise}; again ends at once")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
