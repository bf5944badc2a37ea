"""What is known of a trial: trial.json in its folder, the single source of tables, figures and the report."""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

Status = Literal["pending", "running", "finished", "stopped", "failed"]
"""`stopped` is by the scheduler, as not promising; `failed` has used up its retries."""

FILE = "trial.json"
TRIALS = "trials"
"""Folder of all trials, in that of the sweep."""
STOP = "stop"
"""File in the sweep's folder: while it is there, trials write a checkpoint and end."""


@dataclass(kw_only=True)
class Trial:
    """One training run of a sweep.

    Attributes:
        name: of its folder, its run and its line in tables; sorts in the order of the search.
        values: dotted option -> value, of those that differ between trials.
        points_per_ray: points at which the radiance field is evaluated.
        status: see `Status`.
        reason: why it failed or was stopped.
        attempts: times that training was started, 1 if nothing went wrong.
        steps: done.
        objective: smallest value so far of the sweep's metric.
        metrics: the last report of its metrics.jsonl.
        protocol: of the objective's value.
        images_per_second: of training, median over the reports.
        memory_gib: largest of the training process.
        seconds: of all attempts together, on the clock.
        cpus: of its resources.
        gpus: of its resources, may be a fraction.
        node: address of the machine that ran it last.
        run: its identifier in MLflow.
    """

    name: str
    values: dict[str, Any]
    points_per_ray: int
    status: Status = "pending"
    reason: str | None = None
    attempts: int = 0
    steps: int = 0
    objective: float | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    protocol: dict[str, Any] | None = None
    images_per_second: float | None = None
    memory_gib: float | None = None
    seconds: float = 0.0
    cpus: float = 1.0
    gpus: float = 0.0
    node: str | None = None
    run: str | None = None

    @property
    def gpu_seconds(self) -> float:
        """What it cost, in seconds of one whole GPU."""
        return self.seconds * self.gpus

    @property
    def cpu_seconds(self) -> float:
        """What it cost, in seconds of one CPU."""
        return self.seconds * self.cpus


def write_trial(folder: Path, trial: Trial) -> None:
    """Write trial.json into the trial's folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{FILE}.{os.getpid()}"
    aside.write_text(json.dumps(asdict(trial), indent=2) + "\n", encoding="utf-8")
    aside.replace(folder / FILE)


def read_trial(folder: Path) -> Trial:
    """The trial of a folder.

    Raises:
        ValueError: the file is none of ours.
        OSError: there is none.
    """
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        known = {entry.name for entry in fields(Trial)}
        trial = Trial(**{name: value for name, value in content.items() if name in known})
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} describes no trial ({error}): the folder is damaged") from error
    if trial.status not in get_args(Status):
        raise ValueError(f"{file}: status {trial.status!r} is none of {', '.join(get_args(Status))}")
    return trial


def read_trials(sweep: Path) -> list[Trial]:
    """All trials of a sweep's folder, in the order of their names."""
    return [read_trial(file.parent) for file in sorted((sweep / TRIALS).glob(f"*/{FILE}"))]
