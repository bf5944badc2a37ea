"""Progress of long tasks: a bar on a terminal, a line every 15 seconds elsewhere."""

import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from pipeline.cli.console import say

LINE_EVERY_SECONDS = 15.0
SPEED_OVER_SECONDS = 30.0
"""Length of the window over which the speed is averaged."""
QUIET_SECONDS = 1.0
"""Duration up to which `announced` prints nothing."""

Unit = TypeVar("Unit")


class Progress:
    """Display of done and total units, items per second, time left and reported numbers.

    Args:
        task: name of the task, one word.
        total: number of units.
        done: units done before.
        items: plural name of the items that the speed counts.
        items_per_unit: number of items in a unit.
    """

    def __init__(
        self, task: str, *, total: int, done: int = 0, items: str = "images", items_per_unit: int = 1
    ) -> None:
        self._task, self._total, self._items, self._per_unit = task, total, items, items_per_unit
        self._history: deque[tuple[float, int]] = deque([(time.monotonic(), done)])
        self._last_line = 0.0
        self._bar = _terminal_bar() if sys.stderr.isatty() else None
        if self._bar is not None:
            self._row = self._bar.add_task(task, total=total, completed=done, status="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, report: Mapping[str, float] | None = None) -> None:
        """Show that `done` units are done, with reported numbers, losses first."""
        now = time.monotonic()
        self._history.append((now, done))
        while len(self._history) > 2 and self._history[0][0] < now - SPEED_OVER_SECONDS:
            self._history.popleft()
        status = self.status(report or {})
        if self._bar is not None:
            self._bar.update(self._row, completed=done, status=status)
        elif done >= self._total or now - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = now
            say(f"{self._task} {done}/{self._total}  {status}")

    @property
    def speed(self) -> float:
        """Items per second over the last SPEED_OVER_SECONDS."""
        (start, first), (end, last) = self._history[0], self._history[-1]
        return (last - first) * self._per_unit / max(end - start, 1e-9)

    def status(self, report: Mapping[str, float]) -> str:
        """Line of speed, time left, reported numbers and peak memory."""
        left = self._total - self._history[-1][1]
        parts = [f"{self.speed:.1f} {self._items}/s"]
        if left > 0 and self.speed > 0:
            parts.append(f"{duration(left * self._per_unit / self.speed)} left")
        parts += [f"{name} {value:.3g}" for name, value in report.items()]
        return "  ".join([*parts, f"{peak_memory_gib():.1f} GiB"])


def announced(task: str, units: Sequence[Unit], *, items: str = "trials") -> Iterator[Unit]:
    """Iterate over units, with progress after QUIET_SECONDS: short tasks print nothing."""
    progress, began = Progress(task, total=len(units), items=items), time.monotonic()
    is_shown = False
    with ExitStack() as ending:
        for done, unit in enumerate(units):
            if not is_shown and time.monotonic() - began > QUIET_SECONDS:
                ending.enter_context(progress)
                is_shown = True
            if is_shown:
                progress.update(done)
            yield unit
        if is_shown:
            progress.update(len(units))


@contextmanager
def progress_of(task: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress of a task, as a function of the number of units done."""
    with Progress(task, total=total) as progress:
        yield progress.update


def peak_memory_gib() -> float:
    """Peak memory in GiB: of the GPU if one is used, else of this process."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def duration(seconds: float) -> str:
    """Format seconds as 12:05 (minutes), 1:12:05 (hours), or 3 d 4 h."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _terminal_bar() -> Any:
    """Create a rich bar on stderr; None if rich is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar
    except ImportError:
        return None
    task, status = TextColumn("{task.description}"), TextColumn("{task.fields[status]}")
    return Bar(task, BarColumn(), MofNCompleteColumn(), status, console=Console(stderr=True))
