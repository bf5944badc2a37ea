"""Signals that request a stop, recorded for a loop that checks them between two steps."""

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from pipeline.cli.console import say
from pipeline.cli.ending import TOGETHER_SECONDS, heard
from pipeline.cli.exit_codes import STOPPED


class Interrupts:
    """Context in which a request to stop only sets `exit_code`; a second one acts at once.

    `promise` is the work until the end, for the message, and `passed_on` is called for the first request.
    SIGHUP, sent when a terminal closes, is a request unless nohup ignores it.
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
        self._before = {number: signal.signal(number, self._note) for number in heard(STOPPED)}
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
        self.exit_code, self._noted = STOPPED[caught], time.monotonic()
        self._passed_on()
        say(f"\n{caught.name}: {self._promise}; a second signal ends at once")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
