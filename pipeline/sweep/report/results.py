"""What a sweep has shown so far: its trials in order of their quality, and what differs between them."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.sweep import asked as asking
from pipeline.sweep.asked import ASKED
from pipeline.sweep.trials import TRIALS, Trial, read_trials
from pipeline.tracking import runlog

KIND, POINTS, SEED = "sampler.kind", "sampler.points", "seed"
OF_THE_TRIAL = ("points_per_ray", "random_points")
"""Entries of a protocol that tell what was measured, not how: trials may differ in them and be compared."""
ENDED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class Results:
    """A sweep, half done or done.

    Attributes:
        folder: of the sweep.
        asked: content of its sweep.yaml.
        trials: in the order of the search.
    """

    folder: Path
    asked: Mapping[str, Any]
    trials: Sequence[Trial]

    @property
    def name(self) -> str:
        """Of the sweep."""
        return str(self.asked.get("name") or self.folder.name)

    @cached_property
    def objective(self) -> str:
        """Metric that trials are sorted by, smallest is best, as metrics.jsonl calls it."""
        if self.asked.get("objective"):
            return str(self.asked["objective"])
        names = (name for trial in self.trials for name in trial.metrics if name.startswith("distance/"))
        return next(names, "objective")

    @property
    def short_objective(self) -> str:
        """The same without the section that it stands in."""
        return self.objective.rpartition("/")[2]

    @cached_property
    def options(self) -> dict[str, list[Any]]:
        """Dotted option -> its values, of those that differ between trials, in the order of the search."""
        names = list(
            dict.fromkeys([*_space(self.asked), *(name for trial in self.trials for name in trial.values)])
        )
        found = {name: _ordered(trial.values.get(name) for trial in self.trials) for name in names}
        return {name: values for name, values in found.items() if len(values) > 1}

    @property
    def compares_samplers(self) -> bool:
        """Whether nothing but sampler, points per ray and seed differs: the paper's own question."""
        return bool({KIND, POINTS} & set(self.options)) and set(self.options) <= {KIND, POINTS, SEED}

    @cached_property
    def ranking(self) -> list[Trial]:
        """All trials: finished ones by their objective, then what was stopped or runs, then the rest."""

        def place(trial: Trial) -> tuple[int, float]:
            value = quality(trial)
            if value is None:
                return 2 + (trial.status == "failed"), 0.0
            return int(trial.status != "finished"), value

        return sorted(self.trials, key=place)

    @property
    def finished(self) -> list[Trial]:
        """Trials that can be compared, best first: they have done all steps and were measured."""
        return [trial for trial in self.ranking if trial.status == "finished" and quality(trial) is not None]

    @property
    def best(self) -> Trial | None:
        """The best finished trial."""
        return next(iter(self.finished), None)

    @property
    def command(self) -> str:
        """What the user typed, or what does the same."""
        if self.asked.get("command"):
            return str(self.asked["command"])
        words = [f"sweep={self.asked.get('sweep', self.name)}"]
        if self.asked.get("experiment"):
            words.append(f"experiment={self.asked['experiment']}")
        words += [str(word) for word in self.asked.get("overrides") or ()]
        return shlex.join(["python", "-m", "pipeline.sweep", *words])

    @property
    def apply_command(self) -> str:
        """What writes the best values into params.yaml."""
        return f"{self.command} --apply"

    def count(self, status: str) -> int:
        """Trials of this status."""
        return sum(trial.status == status for trial in self.trials)

    def kind(self, trial: Trial) -> str:
        """Its sampler."""
        common = (self.asked.get("base") or {}).get("sampler") or {}
        return str(trial.values.get(KIND) or common.get("kind") or "?")

    def number(self, trial: Trial) -> str:
        """Its place in the search, as its name begins."""
        return trial.name.partition("-")[0]

    def label(self, trial: Trial) -> str:
        """In words, from what differs between trials."""
        values = dict(trial.values)
        words = []
        if KIND in values:
            words.append(str(values.pop(KIND)))
        if POINTS in values:
            words.append(f"{values.pop(POINTS)} points")
        words += [f"{name.rpartition('.')[2]} {shown(value)}" for name, value in values.items()]
        return ", ".join(words) or trial.name

    def curve(self, trial: Trial) -> list[tuple[float, float]]:
        """(step, objective) whenever it was measured."""
        records = runlog.read(self.folder / TRIALS / trial.name / "train" / runlog.METRICS)
        pairs = [(record["step"], record.get(self.objective)) for record in records]
        return [
            (step, value) for step, value in pairs if isinstance(value, int | float) and math.isfinite(value)
        ]

    def protocols(self) -> list[dict[str, Any]]:
        """Those that objectives were measured with, without repetition and without what is compared."""
        found: list[dict[str, Any]] = []
        for trial in self.trials:
            protocol = {k: v for k, v in (trial.protocol or {}).items() if k not in OF_THE_TRIAL}
            if protocol and quality(trial) is not None and protocol not in found:
                found.append(protocol)
        return found


def read(folder: Path) -> Results:
    """The results in a sweep's folder.

    Raises:
        ValueError: it holds no sweep, or one that is damaged.
    """
    if not (folder / ASKED).exists() and not (folder / TRIALS).is_dir():
        raise ValueError(f"{folder} holds no sweep: there is neither {ASKED} nor {TRIALS}/ in it")
    return Results(folder, asking.read(folder), read_trials(folder))


def quality(trial: Trial) -> float | None:
    """The objective where it is a number."""
    value = trial.objective
    return value if value is not None and math.isfinite(value) else None


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, objective) that no other beats in one without losing in the other.

    Smaller is better in both. By rising cost.
    """
    kept, lowest = [], math.inf
    for index in sorted(range(len(points)), key=lambda k: points[k]):
        if points[index][1] < lowest:
            kept.append(index)
            lowest = points[index][1]
    return kept


def shown(value: Any) -> str:
    """A value for people."""
    return f"{value:.4g}" if isinstance(value, float) else "null" if value is None else str(value)


def is_number(value: Any) -> bool:
    """Whether it can be a coordinate."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _space(asked: Mapping[str, Any]) -> list[str]:
    space = asked.get("space")
    return list(space) if isinstance(space, Mapping) else []


def _ordered(values: Any) -> list[Any]:
    """Without repetition, numbers by their size, everything else as it came."""
    found: list[Any] = []
    for value in values:
        if value is not None and value not in found:
            found.append(value)
    return sorted(found) if all(map(is_number, found)) else found
