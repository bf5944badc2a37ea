"""Runs in MLflow: parameters, what metrics.jsonl holds, pictures, the model, and what they were made from.

The stages write files; this module follows them. A tracking server that goes away in the middle costs a
warning, not the training: what was missed is sent as soon as it is back. MLflow itself is imported late.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline import runlog
from pipeline.config import PROJECT
from pipeline.console import say
from pipeline.pictures import Pixels
from pipeline.schema import TrackingConfig
from pipeline.store import first_line, open_store, revive

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

BATCH = 100
STATE = "tracking.json"
"""File beside the checkpoints that names the run."""


class Tracker(Protocol):
    """Follows a run. Every method may be called at any time before `finish`."""

    run_id: str | None

    def parameters(self, values: Mapping[str, Any]) -> None:
        """What the run was told: dotted names to values."""
        ...

    def tags(self, values: Mapping[str, str]) -> None:
        """What the run was made from."""
        ...

    def follow(self, metrics: Path) -> None:
        """Send what metrics.jsonl holds and has not been sent."""
        ...

    def values(self, values: Mapping[str, float]) -> None:
        """Final numbers, without a step."""
        ...

    def picture(self, name: str, step: int, pixels: Pixels) -> None:
        """A picture of a series."""
        ...

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file or a folder with all it holds."""
        ...

    def finish(self, status: str = "FINISHED") -> None:
        """End with FINISHED, FAILED or KILLED."""
        ...


class NoTracker:
    """Records nothing."""

    run_id: str | None = None

    def parameters(self, values: Mapping[str, Any]) -> None: ...
    def tags(self, values: Mapping[str, str]) -> None: ...
    def follow(self, metrics: Path) -> None: ...
    def values(self, values: Mapping[str, float]) -> None: ...
    def picture(self, name: str, step: int, pixels: Pixels) -> None: ...
    def artifact(self, path: Path, folder: str = "") -> None: ...
    def finish(self, status: str = "FINISHED") -> None: ...


class MlflowTracker:
    """One MLflow run.

    Args:
        client: of the store.
        run_id: of a run that exists.
        state: file that remembers the run and the last step sent; None for stages that are never resumed.
    """

    def __init__(self, client: "MlflowClient", run_id: str, *, state: Path | None = None) -> None:
        self.run_id: str | None = run_id
        self._id = run_id
        self._client = client
        self._state = state
        self._sent = _read_state(state).get("step", -1)
        self._away = False
        self._remember()

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Parameters of a run are final: a resumed run keeps its first ones, and tags tell what changed."""
        from mlflow.entities import Param

        known = self._client.get_run(self._id).data.params
        fresh = [Param(name, str(value)) for name, value in values.items() if name not in known]
        for start in range(0, len(fresh), BATCH):
            self._client.log_batch(self._id, params=fresh[start : start + BATCH])
        now = {name: str(value) for name, value in values.items()}
        self.tags({f"now.{name}": value for name, value in now.items() if known.get(name, value) != value})

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        with self._tolerant():
            for name, value in values.items():
                self._client.set_tag(self._id, name, value)

    def follow(self, metrics: Path) -> None:
        """Send the reports of every step that has not been sent, in order."""
        from mlflow.entities import Metric

        fresh = [record for record in runlog.read(metrics) if record["step"] > self._sent]
        with self._tolerant():
            batch: list[Metric] = []
            for record in fresh:
                step, moment = int(record["step"]), int(record["time"] * 1000)
                numbers = {k: v for k, v in record.items() if k not in ("step", "time") and v is not None}
                batch += [Metric(name, value, moment, step) for name, value in numbers.items()]
            for start in range(0, len(batch), BATCH):
                self._client.log_batch(self._id, metrics=batch[start : start + BATCH])
            if fresh:
                self._sent = int(fresh[-1]["step"])
                self._remember()

    def values(self, values: Mapping[str, float]) -> None:
        """Log each once."""
        with self._tolerant():
            for name, value in values.items():
                self._client.log_metric(self._id, name, value)

    def picture(self, name: str, step: int, pixels: Pixels) -> None:
        """Add to the series that the web page shows with a slider."""
        with self._tolerant():
            self._client.log_image(self._id, pixels, key=name, step=step)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Copy into the run's artifacts."""
        with self._tolerant():
            if path.is_dir():
                self._client.log_artifacts(self._id, str(path), folder or path.name)
            else:
                self._client.log_artifact(self._id, str(path), folder or None)

    def finish(self, status: str = "FINISHED") -> None:
        """Set the run's status."""
        with self._tolerant():
            self._client.set_terminated(self._id, status)

    def _remember(self) -> None:
        if self._state is not None:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            content = {"uri": self._client.tracking_uri, "run_id": self._id, "step": self._sent}
            self._state.write_text(json.dumps(content), encoding="utf-8")

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
            self._away = False
        except Exception as error:
            if not self._away:
                say(f"tracking: going on without {self._client.tracking_uri}: {first_line(error)}")
            self._away = True


def start(config: TrackingConfig, *, state: Path | None = None, run_id: str | None = None) -> Tracker:
    """The tracker that the configuration asks for.

    Args:
        config: where to record.
        state: file beside the checkpoints; where it names a run of the same store, that run goes on.
        run_id: a run of the same store to add to; ignored where it does not exist.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
    """
    if config.kind == "none":
        return NoTracker()
    client = open_store(config)
    remembered = _read_state(state)
    if remembered.get("uri") == client.tracking_uri:
        run_id = remembered["run_id"]
    if run_id is not None and revive(client, run_id):
        return MlflowTracker(client, run_id, state=state)
    if state is not None:
        state.unlink(missing_ok=True)
    tags = {"mlflow.user": os.environ.get("USER", ""), "mlflow.source.name": "python -m pipeline"}
    if config.parent is not None:
        tags["mlflow.parentRunId"] = config.parent
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None, "open_store creates it"
    run = client.create_run(experiment.experiment_id, tags=tags, run_name=config.run)
    return MlflowTracker(client, run.info.run_id, state=state)


def provenance(*, data_hash: str, fingerprint: str) -> dict[str, str]:
    """Tags that tell what a run was made from: commit, uncommitted changes, data, configuration."""
    return {"data_hash": data_hash, "fingerprint": fingerprint, **program()}


def program() -> dict[str, str]:
    """Tags that tell the commit and whether there are uncommitted changes; none without git."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    changes = str(bool(_git("status", "--porcelain", "-uno"))).lower()
    return {"mlflow.source.git.commit": commit, "git.uncommitted_changes": changes}


def _read_state(state: Path | None) -> dict[str, Any]:
    try:
        return json.loads(state.read_text(encoding="utf-8")) if state is not None else {}
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    return done.stdout.strip() if done.returncode == 0 else ""
