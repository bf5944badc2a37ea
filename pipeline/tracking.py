"""Runs in MLflow: parameters, what metrics.jsonl holds, pictures, the model, and what they were made from.

The stages write files; this module follows them, in a thread of its own. A tracking server that is slow,
hangs or goes away costs a warning, neither time nor the training: what was missed, pictures included, is read
from the files and sent when it is back. MLflow itself is imported late.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, TypedDict

from gram import documents
from pipeline import runlog, unsent
from pipeline.config import PROJECT
from pipeline.console import say
from pipeline.database import file_of
from pipeline.outbox import Outbox
from pipeline.redaction import redacted
from pipeline.schema import TrackingConfig
from pipeline.store import TrackingError, first_line, is_final, open_store, revive, unreached, unusable

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

BATCH = 100
STATE = "tracking.json"
"""File beside the checkpoints that names the run."""
SHOWN = 4
"""Names in a message."""
AGAIN = "the same command sends it"
NEXT_STAGE = "the next stage sends it"


class _State(TypedDict):
    uri: str
    run_id: str
    step: NotRequired[int]
    picture: NotRequired[str]


class Tracker(Protocol):
    """Follows a run. Methods that send return at once; any may be called at any time before `finish`."""

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

    def pictures(self, samples: Path, *, step: int) -> None:
        """Send pictures of the steps up to this one that have not been sent."""
        ...

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file or a folder with all it holds."""
        ...

    def catch_up(self, checkpoints: Path) -> None:
        """Send what stages could not send and have left in this folder."""
        ...

    def flush(self) -> bool:
        """Wait until all has arrived, or the server does not answer; returns whether it has."""
        ...

    def finish(self, status: str = "FINISHED") -> None:
        """End with FINISHED, FAILED or KILLED, after `flush`."""
        ...


class NoTracker:
    """Records nothing."""

    run_id: str | None = None

    def parameters(self, values: Mapping[str, Any]) -> None: ...
    def tags(self, values: Mapping[str, str]) -> None: ...
    def follow(self, metrics: Path) -> None: ...
    def pictures(self, samples: Path, *, step: int) -> None: ...
    def artifact(self, path: Path, folder: str = "") -> None: ...
    def catch_up(self, checkpoints: Path) -> None: ...
    def finish(self, status: str = "FINISHED") -> None: ...

    def flush(self) -> bool:
        """Nothing is missing."""
        return True


class MlflowTracker:
    """One MLflow run.

    Args:
        client: of the store.
        run_id: of a run that exists.
        state: file that remembers the run and what was sent; None for runs that are never resumed.
        later: tells how what is missing in the end can be sent.
    """

    def __init__(
        self, client: "MlflowClient", run_id: str, *, state: Path | None = None, later: str = AGAIN
    ) -> None:
        self.run_id: str | None = run_id
        self.store = redacted(client.tracking_uri)
        self._id, self._client, self._state, self._later = run_id, client, state, later
        known = _read_state(state)
        self._sent, self._picture = known.get("step", -1), known.get("picture", "")
        self._drawn = -1
        self._outbox = Outbox(self.store, is_final=is_final, explain=first_line)
        self._remember()

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Parameters of a run are final: a resumed run keeps its first ones, and tags tell what changed."""
        now = {name: redacted(str(value)) for name, value in values.items()}
        self._outbox.put("parameters", partial(self._send_parameters, now))

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        self._outbox.put(f"tags ({', '.join(values)})", partial(self._send_tags, dict(values)))

    def follow(self, metrics: Path) -> None:
        """Send the reports of every step that has not been sent, in order."""
        self._outbox.put("numbers of metrics.jsonl", partial(self._send_numbers, metrics))

    def pictures(self, samples: Path, *, step: int) -> None:
        """Add to the series that the web page shows with a slider."""
        self._drawn = step
        self._outbox.put("sample pictures", partial(self._send_pictures, samples))

    def artifact(self, path: Path, folder: str = "") -> None:
        """Copy into the run's artifacts."""
        self._copy(self._id, path, folder)

    def catch_up(self, checkpoints: Path) -> None:
        """Send what is for this store."""
        for file, addition in unsent.of(checkpoints, store=self.store):
            numbers = f"numbers of {addition.stage} for run {addition.run_id}"
            if addition.values:
                self._outbox.put(numbers, partial(self._send_values, addition.run_id, addition.values))
            for path, folder in addition.artifacts:
                self._copy(addition.run_id, Path(path), folder)
            self._outbox.put(f"the end of {file.name}", partial(unsent.sent, file))

    def flush(self) -> bool:
        """Wait for the outbox."""
        return not self._outbox.flush()

    def finish(self, status: str = "FINISHED") -> None:
        """Set the run's status."""
        self._outbox.put("the run's status", partial(self._client.set_terminated, self._id, status))
        if left := self._outbox.close():
            names = ", ".join(left[:SHOWN]) + (f" and {len(left) - SHOWN} more" if len(left) > SHOWN else "")
            say(f"tracking: {self.store} lacks {names}: {self._later} when it is back")

    def _copy(self, run_id: str, path: Path, folder: str) -> None:
        """Copy a file, or every file of a folder, into a folder of the artifacts."""
        if path.is_dir():
            top = Path(folder or path.name)
            places = {f: top / f.parent.relative_to(path) for f in sorted(path.rglob("*")) if f.is_file()}
        else:
            places = {path: Path(folder)}
        for file, place in places.items():
            target = None if place == Path() else place.as_posix()
            self._outbox.put(str(file), partial(self._client.log_artifact, run_id, str(file), target))

    def _send_parameters(self, now: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        known = self._client.get_run(self._id).data.params
        fresh = [Param(name, value) for name, value in now.items() if name not in known]
        for start in range(0, len(fresh), BATCH):
            self._client.log_batch(self._id, params=fresh[start : start + BATCH])
        changed = {f"now.{name}": value for name, value in now.items() if known.get(name, value) != value}
        self._send_tags(changed)

    def _send_tags(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._client.set_tag(self._id, name, redacted(value))

    def _send_values(self, run_id: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(run_id, name, value)

    def _send_numbers(self, metrics: Path) -> None:
        from mlflow.entities import Metric

        fresh = [record for record in runlog.read(metrics) if record["step"] > self._sent]
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

    def _send_pictures(self, samples: Path) -> None:
        from PIL import Image

        for step, name, path in runlog.pictures(samples):
            mark = f"{step:07d} {name}"
            if step <= self._drawn and mark > self._picture:
                with Image.open(path) as picture:
                    self._client.log_image(self._id, picture, key=name, step=step)
                self._picture = mark
                self._remember()

    def _remember(self) -> None:
        if self._state is None:
            return
        self._state.parent.mkdir(parents=True, exist_ok=True)
        content = {"uri": self.store, "run_id": self._id, "step": self._sent, "picture": self._picture}
        aside = self._state.with_name(f".{self._state.name}.{os.getpid()}")
        aside.write_text(json.dumps(content), encoding="utf-8")
        aside.replace(self._state)


def start(
    config: TrackingConfig, *, state: Path | None = None, run_id: str | None = None, later: str = AGAIN
) -> Tracker:
    """The tracker that the configuration asks for.

    Args:
        config: where to record.
        state: file beside the checkpoints; where it names a run of the same store, that run goes on, also
            while a server is away.
        run_id: a run of the same store to add to; ignored where it does not exist.
        later: tells how what is missing in the end can be sent.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
        ValueError: the state is a file of something else.
    """
    if config.kind == "none":
        return NoTracker()
    remembered = _read_state(state)
    try:
        client = open_store(config)
        if _is_same_store(remembered.get("uri"), client.tracking_uri):
            run_id = remembered["run_id"]
        if run_id is None or not revive(client, run_id):
            if state is not None:
                state.unlink(missing_ok=True)
            run_id = _new_run(client, config)
    except TrackingError as error:
        client, run_id = _without_asking(config, remembered, error), str(remembered["run_id"])
    return MlflowTracker(client, run_id, state=state, later=later)


def add(
    config: TrackingConfig,
    run_id: str | None,
    stage: str,
    *,
    values: Mapping[str, float] | None = None,
    artifacts: Mapping[Path, str],
    checkpoints: Path,
) -> None:
    """Add what a stage made to the run that trained the model; it counts also where that cannot be done.

    Args:
        config: where to record.
        run_id: of that run; None, or one that the store does not know, makes a new run.
        stage: that made it.
        values: final numbers.
        artifacts: file or folder -> folder of the run's artifacts.
        checkpoints: folder that keeps what cannot be sent now, for the next stage to send.
    """
    if config.kind == "none":
        return
    places = [(str(path.absolute()), folder) for path, folder in artifacts.items()]
    addition = unsent.Addition(run_id or "", stage, dict(values or {}), places)
    try:
        tracker = of_model(config, run_id, later=NEXT_STAGE)
    except TrackingError as error:
        later = AGAIN
        if run_id is not None and (client := unreached(config)) is not None:
            later = NEXT_STAGE if _keep(checkpoints, client.tracking_uri, addition) else AGAIN
        say(f"tracking: {stage} is done, but not recorded: {error}; then {later}")
        return
    if not isinstance(tracker, MlflowTracker) or tracker.run_id is None:
        return
    _keep(checkpoints, tracker.store, replace(addition, run_id=tracker.run_id))
    tracker.catch_up(checkpoints)
    tracker.finish()


def _keep(checkpoints: Path, uri: str, addition: unsent.Addition) -> bool:
    """Write what is to be sent, and return whether that could be done: a full disk does not undo the work."""
    try:
        unsent.keep(checkpoints, redacted(uri), addition)
    except OSError as error:
        say(f"tracking: {addition.stage} is not recorded, nothing can be written to {checkpoints}: {error}")
        return False
    return True


def _without_asking(
    config: TrackingConfig, remembered: Mapping[str, Any], error: TrackingError
) -> "MlflowClient":
    """A client of a server that does not answer now, and in which a run is known to be.

    Raises:
        TrackingError: `error`, where there is none.
    """
    client = unreached(config)
    if client is None or not _is_same_store(remembered.get("uri"), client.tracking_uri):
        raise error
    say(f"tracking: going on with run {remembered['run_id']} for the time being: {error}")
    return client


def _new_run(client: "MlflowClient", config: TrackingConfig) -> str:
    tags = {"mlflow.user": os.environ.get("USER", ""), "mlflow.source.name": "python -m pipeline"}
    if config.parent is not None:
        tags["mlflow.parentRunId"] = config.parent
    try:
        experiment = client.get_experiment_by_name(config.experiment)
        assert experiment is not None, "open_store creates it"
        return client.create_run(experiment.experiment_id, tags=tags, run_name=config.run).info.run_id
    except Exception as error:  # every store raises its own
        raise TrackingError(unusable(client.tracking_uri, error)) from None


def _is_same_store(known: str | None, uri: str) -> bool:
    """Whether two addresses are of one store: the same, or sqlite files, as a project may have been moved."""
    if known is None:
        return False
    return redacted(known) == redacted(uri) or None not in (file_of(known), file_of(uri))


def of_model(config: TrackingConfig, run_id: str | None, *, later: str = AGAIN) -> Tracker:
    """The tracker of the run that trained a model; one that records nothing where the store has no such run.

    A model that came from elsewhere thus makes no run, unless tracking.run names one for it.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
    """
    if config.kind == "none" or config.run is not None:
        return start(config, run_id=run_id, later=later)
    if run_id is not None and revive(open_store(config), run_id):
        return start(config, run_id=run_id, later=later)
    say("tracking: this model has no run in the store, nothing is recorded; tracking.run=NAME makes one")
    return NoTracker()


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
    """What a state file says; nothing, which is told, where it is damaged or of something else."""
    if state is None or not state.is_file():
        return {}
    try:
        return documents.read(state, _State, remedy="beginning a run of its own")
    except documents.DocumentError as error:
        say(f"tracking: {error}")
        return {}


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, encoding="utf-8", check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
