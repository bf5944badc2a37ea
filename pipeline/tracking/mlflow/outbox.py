"""Outbox: a thread that makes calls to a server that may be slow, hang or be away.

Calls are made in order, each until it succeeds, with exponential back-off. `flush` waits for all calls, or
for one failed attempt.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.cli.console import say

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts while the server is away."""
SHARE = 0.05
"""Maximum share of time in which the thread works, as Python runs one thread at a time."""
STALL_SECONDS = 60.0
"""Seconds that `flush` waits for a call which neither succeeds nor fails."""


@dataclass(frozen=True)
class Call:
    """Call with a label for messages; only one call of a label waits at a time."""

    label: str
    make: Callable[[], object]


class Outbox:
    """Outbox with its own thread.

    Args:
        server: name of the server in messages.
        is_final: True for errors that a retry cannot fix: the call is dropped and reported.
        explain: function that formats an error in one line.
    """

    def __init__(
        self, server: str, *, is_final: Callable[[Exception], bool], explain: Callable[[Exception], str]
    ) -> None:
        self._server, self._is_final, self._explain = server, is_final, explain
        self._changed = threading.Condition()
        self._waiting: deque[Call] = deque()
        self._current: Call | None = None
        self._closed = False
        self._failures = 0
        self._progress = time.monotonic()
        self._failed = 0.0  # start of the last failed call
        self._asked: float | None = None  # start of a waiting `flush`
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def put(self, label: str, make: Callable[[], object]) -> None:
        """Add a call, unless one of the same label waits: a call sends the state at its time."""
        with self._changed:
            if self._closed or any(call.label == label for call in self._waiting):
                return
            self._waiting.append(Call(label, make))
            self._changed.notify_all()
            if self._thread.ident is None:
                self._thread.start()

    def flush(self) -> list[str]:
        """Wait until all calls are made or a new attempt fails, and return the labels of unsent calls."""
        with self._changed:
            self._asked = self._progress = time.monotonic()
            self._changed.notify_all()
            while self._left() and self._is_hurried():
                if time.monotonic() - self._progress > STALL_SECONDS:
                    break
                self._changed.wait(0.2)
            self._asked = None
            return self._left()

    def close(self) -> list[str]:
        """Flush, make no more calls, and return the labels of unsent ones."""
        left = self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return left

    def _left(self) -> list[str]:
        current = [] if self._current is None else [self._current.label]
        return list(dict.fromkeys([*current, *(call.label for call in self._waiting)]))

    def _work(self) -> None:
        while (call := self._next()) is not None:
            begun = time.monotonic()
            try:
                call.make()
                error = None
            except Exception as problem:  # every client raises its own
                error = problem
            self._note(call, error, begun)
            took = time.monotonic() - begun
            away = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10) / 2)
            self._pause(away if self._failures else took * (1 / SHARE - 1))

    def _next(self) -> Call | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._current = self._waiting.popleft()
            return self._current

    def _note(self, call: Call, error: Exception | None, begun: float) -> None:
        """Count a success, requeue a failed call, drop a refused one, and report changes once."""
        refused = error is not None and self._is_final(error)
        with self._changed:
            before, self._current = self._failures, None
            if error is None or refused:
                self._failures, self._progress = 0, time.monotonic()
            else:
                self._failures += 1
                self._failed = begun
                self._waiting.appendleft(call)
            self._changed.notify_all()
        if error is not None and refused:
            say(f"tracking: {self._server} refuses {call.label}: {self._explain(error)}")
        elif error is not None and before == 0:
            say(f"tracking: continuing without {self._server}: {self._explain(error)}")
        elif error is None and before > 0:
            say(f"tracking: {self._server} is back: sending missed results")

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_hurried() or self._closed, timeout=seconds)

    def _is_hurried(self) -> bool:
        """True if `flush` waits, and no call since its start has failed."""
        return self._asked is not None and self._failed < self._asked
