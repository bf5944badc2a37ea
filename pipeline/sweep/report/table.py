"""The trials as a table: live while they run, and ranked at the end."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.cli.console import say
from pipeline.cli.progress import duration
from pipeline.sweep.report.results import quality, ranked, shown
from pipeline.sweep.trials import Trial
from pipeline.sweep.tune.population import START_FROM

if TYPE_CHECKING:
    from rich.table import Table

LINE_EVERY_SECONDS, DRAW_EVERY_SECONDS = 30.0, 0.5
NARROWEST = 50
"""Columns of the narrowest terminal that shows a table."""
STYLES = {"running": "bold", "finished": "green", "stopped": "yellow", "failed": "red", "pending": "dim"}


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
        values = [*(trial.values.get(option) for option in options), trial.status, f"{trial.steps}/{steps}"]
        values += [trial.objective, trial.images_per_second, trial.memory_gib, duration(trial.seconds)]
        cells = ["-" if value is None else shown(value) for value in values]
        made.add_row(trial.number, *cells, style=STYLES[trial.status])
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
    """Seconds that remaining trials take, by the time of the steps so far.

    Args:
        trials: so far.
        steps: of a trial.
        total: number of trials of the whole sweep.
        at_once: number of trials that run at a time.
    """
    done = [trial for trial in trials if trial.steps and trial.seconds]
    if not done:
        return None
    per_step = sum(trial.seconds for trial in done) / sum(trial.steps for trial in done)
    left = sum(steps - trial.steps for trial in trials if not trial.over) + (total - len(trials)) * steps
    return left * per_step / max(1, at_once)


class Live:
    """Progress of running trials: a table on a terminal, a line now and then elsewhere."""

    def __init__(self, name: str, *, steps: int, total: int) -> None:
        self._name, self._steps, self._total = name, steps, total
        self._drawn, self._said = 0.0, time.monotonic()
        self._live: Any = None

    def __enter__(self) -> "Live":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live as RichLive

            console = Console(stderr=True)
            self._live = RichLive(console=console, auto_refresh=False, vertical_overflow="visible")
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, trials: Sequence[Trial]) -> None:
        """Show the state of the trials; cheap to call often."""
        now = time.monotonic()
        if self._live is not None and now - self._drawn >= DRAW_EVERY_SECONDS:
            self._drawn = now
            line = self.line(trials)
            narrow = self._live.console.width < NARROWEST
            self._live.update(line if narrow else table(trials, steps=self._steps, title=line), refresh=True)
        elif self._live is None and now - self._said >= LINE_EVERY_SECONDS:
            self._said = now
            say(f"sweep {self.line(trials)}")

    def line(self, trials: Sequence[Trial]) -> str:
        """Progress of the sweep in one line."""
        running = [trial for trial in trials if trial.status == "running"]
        parts = [f"{self._name}: {sum(trial.over for trial in trials)}/{self._total} trials done"]
        parts += [f"{trial.name} {trial.steps}/{self._steps}" for trial in running[:4]]
        if left := seconds_left(trials, steps=self._steps, total=self._total, at_once=len(running)):
            parts.append(f"{duration(left)} left")
        if measured := [trial for trial in ranked(trials) if quality(trial) is not None]:
            parts.append(f"best {measured[0].objective:.4g} ({measured[0].name})")
        return ", ".join(parts)
