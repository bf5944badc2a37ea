"""The trials as a table: live while they run, and sorted by their objective at the end."""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.cli.console import say
from pipeline.cli.progress import duration
from pipeline.sweep.trials import Trial
from pipeline.sweep.tune.population import START_FROM

if TYPE_CHECKING:
    from rich.table import Table

LINE_EVERY_SECONDS = 30.0
DRAW_EVERY_SECONDS = 0.5
NARROWEST = 50
"""Columns of a terminal in which a table can be read."""
STYLES = {"running": "bold", "finished": "green", "stopped": "yellow", "failed": "red", "pending": "dim"}


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Best first; without a value, and failed ones, last."""
    return sorted(
        trials, key=lambda t: (t.status == "failed", t.objective is None, t.objective or 0.0, t.name)
    )


def best(trials: Iterable[Trial]) -> Trial | None:
    """The finished trial with the smallest objective."""
    finished = [
        trial for trial in ranked(trials) if trial.status == "finished" and trial.objective is not None
    ]
    return finished[0] if finished else None


def table(trials: Sequence[Trial], *, steps: int, title: str | None = None) -> "Table":
    """One row a trial, in the order given."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    options = list(dict.fromkeys(name for trial in trials for name in trial.values if name != START_FROM))
    for name in ("trial", *(option.rpartition(".")[2] for option in options), "status"):
        made.add_column(name, overflow="fold")
    for name in ("steps", "objective", "images/s", "GiB", "time"):
        made.add_column(name, justify="right", no_wrap=True)
    for trial in trials:
        values = [_shown(trial.values.get(option)) for option in options]
        made.add_row(
            trial.name.partition("-")[0], *values, trial.status,
            f"{trial.steps}/{steps}", _shown(trial.objective), _shown(trial.images_per_second),
            _shown(trial.memory_gib), duration(trial.seconds), style=STYLES[trial.status],
        )  # fmt: skip
    return made


def as_text(trials: Sequence[Trial], *, steps: int) -> str:
    """The table and the reasons of trials that did not finish, as plain text."""
    from rich.console import Console

    console = Console(width=110, color_system=None)
    with console.capture() as captured:
        console.print(table(trials, steps=steps))
    lines = [line.rstrip() for line in captured.get().splitlines() if line.strip()]
    lines += [f"{trial.name}: {trial.status}: {trial.reason}" for trial in trials if trial.reason]
    return "".join(f"{line}\n" for line in lines)


def seconds_left(trials: Sequence[Trial], *, steps: int, total: int, at_once: int) -> float | None:
    """How long the trials that are not over will take, by the time that steps took so far.

    Args:
        trials: so far.
        steps: of a trial.
        total: number of trials of the whole sweep.
        at_once: trials that run at a time.
    """
    done = [trial for trial in trials if trial.steps and trial.seconds]
    if not done:
        return None
    per_step = sum(trial.seconds for trial in done) / sum(trial.steps for trial in done)
    waiting = [steps - trial.steps for trial in trials if trial.status in ("pending", "running")]
    left = sum(waiting) + (total - len(trials)) * steps
    return left * per_step / max(1, at_once)


class Live:
    """Shows trials while they run: a table on a terminal, a line now and then elsewhere."""

    def __init__(self, name: str, *, steps: int, total: int) -> None:
        self._name, self._steps, self._total = name, steps, total
        self._drawn, self._said = 0.0, time.monotonic()
        self._live: Any = None

    def __enter__(self) -> "Live":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live as RichLive

            self._live = RichLive(
                console=Console(stderr=True), auto_refresh=False, vertical_overflow="visible"
            )
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, trials: Sequence[Trial]) -> None:
        """What is known now; cheap to call often."""
        now = time.monotonic()
        if self._live is not None and now - self._drawn >= DRAW_EVERY_SECONDS:
            self._drawn = now
            line = self.line(trials)
            narrow = self._live.console.width < NARROWEST
            shown = line if narrow else table(trials, steps=self._steps, title=line)
            self._live.update(shown, refresh=True)
        elif self._live is None and now - self._said >= LINE_EVERY_SECONDS:
            self._said = now
            say(f"sweep {self.line(trials)}")

    def line(self, trials: Sequence[Trial]) -> str:
        """How far the sweep is, in one line."""
        running = [trial for trial in trials if trial.status == "running"]
        over = [trial for trial in trials if trial.status not in ("running", "pending")]
        parts = [f"{self._name}: {len(over)}/{self._total} trials done"]
        parts += [f"{trial.name} {trial.steps}/{self._steps}" for trial in running[:4]]
        left = seconds_left(trials, steps=self._steps, total=self._total, at_once=len(running))
        if left:
            parts.append(f"{duration(left)} left")
        first = ranked(trials)[0] if trials else None
        if first is not None and first.objective is not None:
            parts.append(f"best {first.objective:.4g} ({first.name})")
        return ", ".join(parts)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
