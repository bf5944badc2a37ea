"""Results of a sweep: its trials in order of their objective, and the options that differ between them."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.sweep import sweep_yaml
from pipeline.sweep.trials import TRIALS, Trial, read_trials
from pipeline.tracking import runlog

KIND, POINTS, SEED = "sampler.kind", "sampler.points", "seed"
OF_THE_TRIAL = ("points_per_ray", "random_points")
"""Entries of a protocol that say what was measured, not how: trials that differ in them are comparable."""


@dataclass(frozen=True)
class Results:
    """A sweep at any time.

    Attributes:
        folder: of the sweep.
        request: content of its sweep.yaml.
        trials: in the order of the search.
    """

    folder: Path
    request: Mapping[str, Any]
    trials: Sequence[Trial]

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return str(self.request.get("name") or self.folder.name)

    @cached_property
    def objective(self) -> str:
        """Metric of metrics.jsonl that trials are ranked by, smallest is best."""
        named = self.request.get("objective")
        names = (name for trial in self.trials for name in trial.metrics if name.startswith("distance/"))
        return str(named or next(names, "objective"))

    @property
    def short_objective(self) -> str:
        """The same without its section."""
        return self.objective.rpartition("/")[2]

    @cached_property
    def options(self) -> dict[str, list[Any]]:
        """Dotted option -> its values, of options that differ between trials, in the order of the search."""
        names = [
            *(self.request.get("space") or {}),
            *(name for trial in self.trials for name in trial.values),
        ]
        found = {
            name: _ordered(trial.values.get(name) for trial in self.trials) for name in dict.fromkeys(names)
        }
        return {name: values for name, values in found.items() if len(values) > 1}

    @property
    def compares_samplers(self) -> bool:
        """True where nothing but sampler, points per ray and seed differs, as in the paper."""
        return bool({KIND, POINTS} & set(self.options)) and set(self.options) <= {KIND, POINTS, SEED}

    @cached_property
    def ranking(self) -> list[Trial]:
        """All trials, best first."""
        return ranked(self.trials)

    @property
    def finished(self) -> list[Trial]:
        """Comparable trials, best first: all steps done, and measured."""
        return [trial for trial in self.ranking if trial.status == "finished" and quality(trial) is not None]

    @property
    def best(self) -> Trial | None:
        """The best finished trial."""
        return next(iter(self.finished), None)

    @property
    def why_unranked(self) -> str | None:
        """The reason why no trial may be called the best; None where one may."""
        if not self.finished:
            return "no trial has finished with a measured objective"
        if (count := len(self.protocols())) > 1:
            return f"objectives were measured by {count} different protocols and cannot be compared"
        return None

    @property
    def command(self) -> str:
        """The command that the user typed, or an equivalent one."""
        if self.request.get("command"):
            return str(self.request["command"])
        words = [f"sweep={self.request.get('sweep', self.name)}"]
        if self.request.get("experiment"):
            words.append(f"experiment={self.request['experiment']}")
        words += [str(word) for word in self.request.get("overrides") or ()]
        return shlex.join(["python", "-m", "pipeline.sweep", *words])

    def count(self, status: str) -> int:
        """Number of trials of a status."""
        return sum(trial.status == status for trial in self.trials)

    def kind(self, trial: Trial) -> str:
        """Sampler of a trial."""
        common = (self.request.get("base") or {}).get("sampler") or {}
        return str(trial.values.get(KIND) or common.get("kind") or "?")

    def label(self, trial: Trial) -> str:
        """Values of a trial, in words."""
        values = dict(trial.values)
        words = [str(values.pop(KIND))] if KIND in values else []
        words += [f"{values.pop(POINTS)} points"] if POINTS in values else []
        words += [f"{name.rpartition('.')[2]} {shown(value)}" for name, value in values.items()]
        return ", ".join(words) or trial.name

    def curve(self, trial: Trial) -> list[tuple[float, float]]:
        """(step, objective) of every measurement of a trial."""
        records = runlog.read(self.folder / TRIALS / trial.name / "train" / runlog.METRICS)
        pairs = [(record["step"], record.get(self.objective)) for record in records]
        return [
            (step, value) for step, value in pairs if isinstance(value, int | float) and math.isfinite(value)
        ]

    def protocols(self) -> list[dict[str, Any]]:
        """Distinct protocols of measured objectives, without the entries that trials may differ in."""
        found: list[dict[str, Any]] = []
        for trial in self.trials:
            protocol = {k: v for k, v in (trial.protocol or {}).items() if k not in OF_THE_TRIAL}
            if protocol and quality(trial) is not None and protocol not in found:
                found.append(protocol)
        return found


def read(folder: Path) -> Results:
    """Results in a sweep's folder.

    Raises:
        ValueError: it holds no sweep, or one that is damaged.
    """
    if not (folder / sweep_yaml.FILE).exists() and not (folder / TRIALS).is_dir():
        raise ValueError(f"{folder} holds no sweep: there is neither {sweep_yaml.FILE} nor {TRIALS}/ in it")
    return Results(folder, sweep_yaml.read(folder), read_trials(folder))


def quality(trial: Trial) -> float | None:
    """Objective of a trial; None where it is not a finite number."""
    value = trial.objective
    return value if value is not None and math.isfinite(value) else None


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Finished trials by their objective, then stopped and running ones, then unmeasured and failed ones."""

    def place(trial: Trial) -> tuple[int, float]:
        value = quality(trial)
        if value is None:
            return 2 + (trial.status == "failed"), 0.0
        return int(trial.status != "finished"), value

    return sorted(trials, key=place)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, objective) on the Pareto front, smaller is better, by rising cost."""
    kept, lowest = [], math.inf
    for index in sorted(range(len(points)), key=lambda k: points[k]):
        if points[index][1] < lowest:
            kept.append(index)
            lowest = points[index][1]
    return kept


def shown(value: Any) -> str:
    """A value as text."""
    return f"{value:.4g}" if isinstance(value, float) else "null" if value is None else str(value)


def is_number(value: Any) -> bool:
    """True where a value can be a coordinate."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _ordered(values: Any) -> list[Any]:
    """Distinct values, numbers sorted, everything else in the order given."""
    found: list[Any] = []
    for value in values:
        if value is not None and value not in found:
            found.append(value)
    return sorted(found) if all(map(is_number, found)) else found
