"""The trials of a sweep on disk, and reports of Tune on them: all that a resumed sweep needs."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.sweep.space import Values, trial_name
from pipeline.sweep.trials import TRIALS, Trial, read_trials, write_trial
from pipeline.sweep.tune.process import summary
from pipeline.tracking import runlog


class Ledger:
    """All trials, in memory as on disk; this process alone writes them.

    Args:
        folder: of the sweep.
        cpus: of a trial.
        gpus: of a trial.
    """

    def __init__(self, folder: Path, *, cpus: float, gpus: float) -> None:
        self._folder, self._cpus, self.gpus = folder, cpus, gpus
        self.trials = {trial.name: trial for trial in read_trials(folder)}
        self.records: dict[str, list[dict[str, Any]]] = {name: [] for name in self.trials}
        self._since: dict[str, float] = {}
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "pending"
                self._write(trial)

    def folder_of(self, name: str) -> Path:
        """Folder of a trial."""
        return self._folder / TRIALS / name

    def add(self, values: Values, *, points_per_ray: int) -> Trial:
        """A further trial, pending."""
        name = trial_name(len(self.trials), values)
        trial = Trial(
            name=name, values=values, points_per_ray=points_per_ray, cpus=self._cpus, gpus=self.gpus
        )
        self.trials[name], self.records[name] = trial, []
        self._write(trial)
        return trial

    @property
    def unfinished(self) -> list[Trial]:
        """Trials that are to go on, in order."""
        return [trial for trial in self.trials.values() if not trial.over]

    def histories(self) -> dict[str, list[dict[str, Any]]]:
        """The reports of trials that are over, by their names."""
        over = [name for name, trial in self.trials.items() if trial.status in ("finished", "stopped")]
        return {name: list(runlog.read(self.folder_of(name) / "train" / runlog.METRICS)) for name in over}

    def started(self, name: str, node: str | None = None) -> None:
        """Training of a trial starts, for the first time or again."""
        trial = self.trials[name]
        if trial.status != "running":  # a scheduler pauses trials, too
            trial.attempts += 1
        trial.status = "running"
        trial.cpus, trial.gpus = self._cpus, self.gpus
        self._since[name] = time.monotonic()
        self._write(trial)

    def reported(self, name: str, result: Mapping[str, Any]) -> None:
        """Take over a result of `TrainingTrial`."""
        trial = self.trials[name]
        self._count_time(trial)
        trial.node = result.get("node_ip", trial.node)
        trial.run = result.get("run", trial.run)
        trial.values = json.loads(result["values"])
        if result.get("protocol"):
            trial.protocol = json.loads(result["protocol"])
        if records := json.loads(result.get("records", "[]")):
            self.records[name] += records
            trial.steps = int(records[-1]["step"])
            numbers = {k: v for k, v in records[-1].items() if k not in ("step", "time")}
            trial.metrics = {**trial.metrics, **numbers}
            for option, value in summary(self.records[name]).items():
                setattr(trial, option, value)
        if (best := result.get("best")) is not None:
            trial.objective = best if trial.objective is None else min(trial.objective, best)
        self._write(trial)

    def failed_once(self, name: str, why: str) -> None:
        """An attempt failed; the trial will be started again."""
        trial = self.trials[name]
        self._count_time(trial)
        trial.status, trial.reason = "pending", why
        self._write(trial)

    def ended(self, name: str, status: str, reason: str | None) -> None:
        """A trial is over (finished, stopped, failed), or was interrupted (pending)."""
        trial = self.trials[name]
        self._count_time(trial)
        self._since.pop(name, None)
        trial.status, trial.reason = status, reason  # type: ignore[assignment]
        self._write(trial)

    def _count_time(self, trial: Trial) -> None:
        now = time.monotonic()
        if trial.name in self._since:
            trial.seconds += now - self._since[trial.name]
            self._since[trial.name] = now

    def _write(self, trial: Trial) -> None:
        write_trial(self.folder_of(trial.name), trial)
