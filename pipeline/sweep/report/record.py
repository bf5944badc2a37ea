"""A sweep in MLflow: one parent run, whose children are the runs of its trials.

Training makes the children. This module adds status, cost and protocol of trials. Every update sends all that
has not arrived: a server that was unreachable has everything in the end. If it is unreachable at the end,

    python -m pipeline.sweep.report.record sweeps/NAME

sends the content of the folder later.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.command import on_folder
from pipeline.cli.console import say
from pipeline.config.loader import load
from pipeline.config.options import leaves
from pipeline.config.schema import TrackingConfig
from pipeline.sweep import sweep_yaml
from pipeline.sweep.report import page, reading, results
from pipeline.sweep.report.results import Results, is_number, quality
from pipeline.sweep.trials import Trial
from pipeline.tracking import provenance, runs
from pipeline.tracking.mlflow.sender import LONGEST, Sender
from pipeline.tracking.mlflow.store import experiment_of, open_store
from pipeline.tracking.mlflow.tracker import read_state

if TYPE_CHECKING:
    from mlflow.entities import Run

RUN_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
"""Status of a trial -> status of its run."""
FILES = (page.HTML, page.PNG, page.CSV, "best.yaml", sweep_yaml.FILE, "table.txt")
AWAY_SECONDS = 30.0
"""Seconds between attempts to reach an unreachable store."""
NO_PARAMETERS = ("base", "name", "started", "program", "command")
"""Entries of sweep.yaml that are in every child (base), or tags."""


class Parent:
    """The run of a sweep. With tracking=none there is none, and nothing is recorded.

    Args:
        sender: to the store.
        run_id: of a run that exists; None records nothing.
        experiment: that it belongs to.
        folder: of the sweep.
    """

    def __init__(self, sender: Sender | None, run_id: str | None, experiment: str, folder: Path) -> None:
        self.run_id = run_id
        self._sender, self._experiment, self._folder = sender, experiment, folder
        self._ended: set[tuple[str, str]] = set()
        self._over: int | None = None
        self._sent: list[tuple[str, str, str | None]] = []
        self._next_attempt = 0.0

    @classmethod
    def start(cls, config: TrackingConfig, name: str, sweep: Mapping[str, Any], folder: Path) -> "Parent":
        """Make the run of a sweep, or resume the one that its folder names.

        Args:
            config: store and experiment.
            name: of the sweep.
            sweep: content of sweep.yaml.
            folder: of the sweep.

        Raises:
            TrackingError: MLflow is not installed, or the store cannot be used.
        """
        if config.kind == "none":
            return cls(None, None, config.experiment, folder)
        own = TrackingConfig(kind=config.kind, uri=config.uri, experiment=config.experiment, run=name)
        tracker = runs.start(own, state=folder / runs.STATE)
        tracker.parameters(_parameters(sweep))
        tags = {"sweep": name, "mlflow.source.name": "python -m pipeline.sweep", **provenance.program()}
        tags["command"] = Results(folder, sweep, []).command
        tracker.tags({name: text[:LONGEST] for name, text in tags.items()})
        tracker.flush()
        return cls(Sender(open_store(config)), tracker.run_id, config.experiment, folder)

    def update(self, trials: Sequence[Trial]) -> None:
        """Send changes: tags, numbers and status of the children, counts and the best objective so far.

        Cheap where no trial has begun or ended since. An unreachable store is tried again after a while, so
        that it does not delay the sweep.
        """
        states = [(trial.name, trial.status, trial.run) for trial in trials]
        if self._sender is None or states == self._sent or time.monotonic() < self._next_attempt:
            return
        self._send_all(self._sender, trials)
        self._next_attempt = time.monotonic() + AWAY_SECONDS if self._sender.away else 0.0
        self._sent = [] if self._sender.away else states

    def _send_all(self, sender: Sender, trials: Sequence[Trial]) -> None:
        assert self.run_id is not None, "a sender comes with a run"
        found = Results(self._folder, sweep_yaml.read(self._folder), trials)
        over = sum(trial.over for trial in trials)
        with sender.tolerant():
            for trial in trials:
                self._send_trial(sender, found, trial)
            if over != self._over:
                sender.send(self.run_id, metrics=_totals(found), step=over)
                sender.client.log_text(self.run_id, page.table(found), page.CSV)
                self._over = over

    def finish(self, folder: Path, status: str) -> None:
        """Send the files of the sweep's folder and end the run with FINISHED, FAILED or KILLED.

        Runs of trials whose processes were killed are ended, too.
        """
        if self._sender is None or self.run_id is None:
            return
        found, self._over = results.read(folder), None
        self._send_all(self._sender, found.trials)
        with self._sender.tolerant():
            for name in FILES:
                if (folder / name).exists():
                    self._sender.client.log_artifact(self.run_id, str(folder / name))
            note = "\n\n".join(reading.lines(found))
            self._sender.send(self.run_id, tags={"mlflow.note.content": note})
            self._end_lost(self._sender, found)
            self._sender.end(self.run_id, status)
        if self._sender.away:
            command = f"python -m pipeline.sweep.report.record {folder}"
            say(f"tracking: the store lacks the end of this sweep: {command} sends it when it is back")

    def _send_trial(self, sender: Sender, found: Results, trial: Trial) -> None:
        """Send tags of a trial that has a run, and its numbers and status when it is over."""
        run_id, over = trial.run, trial.over
        if run_id is None or sender.refuses(run_id) or (run_id, trial.status) in self._ended:
            return
        assert self.run_id is not None, "callers have checked"
        with sender.skipping(run_id, witness=self.run_id):
            if over:
                sender.forget(run_id)  # training has written its last numbers since
            sender.send(
                run_id, tags=_tags(found, trial), metrics=_numbers(trial) if over else {}, step=trial.steps
            )
            if over:
                sender.end(run_id, RUN_STATUS[trial.status])
                self._ended.add((run_id, trial.status))

    def _end_lost(self, sender: Sender, found: Results) -> None:
        """End children whose training was killed, also those of no known trial."""
        named = {trial.name: trial.status for trial in found.trials}
        for run in self._children(sender):
            if run.info.status == "RUNNING":
                status = named.get(run.info.run_name or "", "stopped")
                sender.end(run.info.run_id, RUN_STATUS.get(status, "KILLED"))

    def _children(self, sender: Sender) -> "Iterator[Run]":
        experiment = sender.client.get_experiment_by_name(self._experiment)
        assert experiment is not None, "start has opened it"
        chosen, token = f"tags.`mlflow.parentRunId` = '{self.run_id}'", None
        while True:
            some = sender.client.search_runs([experiment.experiment_id], chosen, page_token=token)
            yield from some
            if not (token := some.token):
                return


def _parameters(sweep: Mapping[str, Any]) -> dict[str, str]:
    """Entries of sweep.yaml by dotted names, without those that are null."""
    given = {name: value for name, value in sweep.items() if name not in NO_PARAMETERS and value is not None}
    tree = {"objective": "the first distance/", **given}
    return {name: str(value)[:LONGEST] for name, value in leaves(tree) if value is not None}


def _tags(found: Results, trial: Trial) -> dict[str, str]:
    """Tags by which trials are found, sorted and compared."""
    tags = {"sweep": found.name, "trial": found.label(trial), "status": trial.status}
    if trial.reason:
        tags["reason"] = trial.reason
    if trial.protocol:
        tags |= {"objective": found.objective, "protocol": json.dumps(trial.protocol)}
    return tags


def _numbers(trial: Trial) -> dict[str, float]:
    """Objective and cost of a trial that is over."""
    names = ("points_per_ray", "images_per_second", "memory_gib", "gpu_seconds", "cpu_seconds", "attempts")
    numbers = {"objective": quality(trial), **{name: getattr(trial, name) for name in names}}
    return {name: float(value) for name, value in numbers.items() if is_number(value)}


def _totals(found: Results) -> dict[str, float]:
    """Counts, cost and best objective of the sweep so far."""
    totals = {f"trials/{status}": float(found.count(status)) for status in RUN_STATUS}
    totals["gpu_seconds"] = sum(trial.gpu_seconds for trial in found.trials)
    totals["cpu_seconds"] = sum(trial.cpu_seconds for trial in found.trials)
    best = quality(found.best) if found.best else None
    return totals if best is None else {"objective": best, **totals}


def send(folder: Path) -> None:
    """Send a sweep's folder to the store that it was recorded in, else to that of params.yaml."""
    found = results.read(folder)
    config = replace(load().tracking, kind="mlflow")
    if begun := read_state(folder / runs.STATE):
        config.uri = str(begun["uri"])
        config.experiment = experiment_of(config, str(begun["run_id"])) or config.experiment
    done = all(trial.over for trial in found.trials)
    parent = Parent.start(config, found.name, found.request, folder)
    parent.finish(folder, "FINISHED" if done else "KILLED")


def main(arguments: Sequence[str]) -> int:
    """Send the record of the folder that is named."""
    return on_folder("sweep.report.record", __doc__ or "", send, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
