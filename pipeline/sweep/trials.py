"""Trials as trial.json in their folders, the single source of tables, figures and the report."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from gram.system import documents
from gram.system.documents import Bounds
from gram.system.folders import write_file

Status = Literal["pending", "running", "finished", "stopped", "failed"]
"""`stopped` is by the scheduler, as not promising; `failed` has used up its retries."""

Number = Annotated[float, Bounds(finite=False)]
"""Measured number, NaN and infinity included."""
Count = Annotated[int, Bounds(low=0)]

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
    points_per_ray: Count
    status: Status = "pending"
    reason: str | None = None
    attempts: Count = 0
    steps: Count = 0
    objective: Number | None = None
    metrics: dict[str, Number | None] = field(default_factory=dict)
    protocol: dict[str, Any] | None = None
    images_per_second: Number | None = None
    memory_gib: Number | None = None
    seconds: Annotated[float, Bounds(low=0)] = 0.0
    cpus: Annotated[float, Bounds(low=0)] = 1.0
    gpus: Annotated[float, Bounds(low=0)] = 0.0
    node: str | None = None
    run: str | None = None

    @property
    def number(self) -> str:
        """Place in the search, by which its name begins."""
        return self.name.partition("-")[0]

    @property
    def over(self) -> bool:
        """True where it has finished, was stopped or has failed."""
        return self.status not in ("pending", "running")

    @property
    def gpu_seconds(self) -> float:
        """Cost in seconds of one whole GPU."""
        return self.seconds * self.gpus

    @property
    def cpu_seconds(self) -> float:
        """Cost in seconds of one CPU."""
        return self.seconds * self.cpus


def write_trial(folder: Path, trial: Trial) -> None:
    """Write trial.json into the trial's folder, whole or not at all."""
    write_file(folder / FILE, (json.dumps(asdict(trial), indent=2) + "\n").encode())


def read_trial(folder: Path) -> Trial:
    """The trial of a folder.

    Raises:
        ValueError: the file is none of ours.
        OSError: there is none.
    """
    file = folder / FILE
    remedy = "the folder is damaged: remove it, and the sweep runs the trial anew"
    trial = documents.read(file, Trial, remedy=remedy)
    if trial.name != folder.name:
        name = documents.shown(trial.name)
        raise documents.DocumentError(f"{file}: name is {name}, not that of its folder: {remedy}")
    return trial


def read_trials(sweep: Path) -> list[Trial]:
    """All trials of a sweep's folder, in the order of their names."""
    return [read_trial(file.parent) for file in sorted((sweep / TRIALS).glob(f"*/{FILE}"))]
