"""Tracker of one MLflow run, which sends files in its own thread, later if the store is away."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from gram.system import documents
from gram.system.folders import write_file
from pipeline.cli.console import say
from pipeline.config.redaction import first_line, redacted
from pipeline.tracking import runlog
from pipeline.tracking.mlflow import unsent
from pipeline.tracking.mlflow.outbox import Outbox
from pipeline.tracking.mlflow.store import is_final

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

BATCH = 100
SHOWN = 4
"""Maximum number of names in a message."""
AGAIN = "the same command sends it"


class _State(TypedDict):
    """State of a run, in a file beside the checkpoints."""

    uri: str
    run_id: str
    step: NotRequired[int]
    picture: NotRequired[str]


class MlflowTracker:
    """Tracker of one MLflow run.

    Args:
        client: client of the store.
        run_id: identifier of an existing run.
        state: file with the run and its last sent step; None for runs that are never resumed.
        later: message on how results that are missing in the end can be sent.
    """

    def __init__(
        self, client: "MlflowClient", run_id: str, *, state: Path | None = None, later: str = AGAIN
    ) -> None:
        self.run_id: str | None = run_id
        self.store = redacted(client.tracking_uri)
        self.id, self._client, self._state, self._later = run_id, client, state, later
        known = read_state(state)
        self._sent, self._image = known.get("step", -1), known.get("picture", "")
        self._drawn = -1
        self._read = 0  # bytes of metrics.jsonl that are sent
        self._outbox = Outbox(self.store, is_final=is_final, explain=first_line)
        self._remember()

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Send parameters. They are final: a resumed run keeps its first ones, and changes become tags."""
        now = {name: redacted(str(value)) for name, value in values.items()}
        self._outbox.put("parameters", partial(self._send_parameters, now))

    def tags(self, values: Mapping[str, str]) -> None:
        """Send tags."""
        self._outbox.put(f"tags ({', '.join(values)})", partial(self._send_tags, dict(values)))

    def follow(self, metrics: Path) -> None:
        """Send new reports, in order."""
        self._outbox.put("numbers of metrics.jsonl", partial(self._send_numbers, metrics))

    def images(self, samples: Path, *, step: int) -> None:
        """Send new images to the series with a slider on the web page."""
        self._drawn = step
        self._outbox.put("sample images", partial(self._send_images, samples))

    def artifact(self, path: Path, folder: str = "") -> None:
        """Send a file or folder to the run's artifacts."""
        self._copy(self.id, path, folder)

    def catch_up(self, checkpoints: Path) -> None:
        """Send earlier results for this store."""
        for file, addition in unsent.of(checkpoints, store=self.store):
            numbers = f"numbers of {addition.stage} for run {addition.run_id}"
            if addition.values:
                self._outbox.put(numbers, partial(self._send_values, addition.run_id, addition.values))
            for path, folder in addition.artifacts:
                self._copy(addition.run_id, Path(path), folder)
            self._outbox.put(f"the end of {file.name}", partial(unsent.sent, file))

    def flush(self) -> bool:
        """Wait for the outbox; True if it is empty."""
        return not self._outbox.flush()

    def finish(self, status: str = "FINISHED") -> None:
        """Set the run's status and report what is missing."""
        self._outbox.put("the run's status", partial(self._client.set_terminated, self.id, status))
        if left := self._outbox.close():
            names = ", ".join(left[:SHOWN]) + (f" and {len(left) - SHOWN} more" if len(left) > SHOWN else "")
            say(f"tracking: {self.store} lacks {names}: {self._later} when it is back")

    def _copy(self, run_id: str, path: Path, folder: str) -> None:
        """Send a file, or all files of a folder, to a folder of the artifacts."""
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

        known = self._client.get_run(self.id).data.params
        fresh = [Param(name, value) for name, value in now.items() if name not in known]
        for start in range(0, len(fresh), BATCH):
            self._client.log_batch(self.id, params=fresh[start : start + BATCH])
        changed = {f"now.{name}": value for name, value in now.items() if known.get(name, value) != value}
        self._send_tags(changed)

    def _send_tags(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._client.set_tag(self.id, name, redacted(value))

    def _send_values(self, run_id: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(run_id, name, value)

    def _send_numbers(self, metrics: Path) -> None:
        from mlflow.entities import Metric

        batch: list[Metric] = []
        sent, end = self._sent, self._read
        for record, after in runlog.read_from(metrics, self._read):
            end = after
            if (step := int(record["step"])) > self._sent:
                sent, moment = step, int(record["time"] * 1000)
                numbers = {k: v for k, v in record.items() if k not in ("step", "time") and v is not None}
                batch += [Metric(name, value, moment, step) for name, value in numbers.items()]
        for start in range(0, len(batch), BATCH):
            self._client.log_batch(self.id, metrics=batch[start : start + BATCH])
        self._read = end
        if sent > self._sent:
            self._sent = sent
            self._remember()

    def _send_images(self, samples: Path) -> None:
        from PIL import Image

        for step, name, path in runlog.images(samples):
            mark = f"{step:07d} {name}"
            if step <= self._drawn and mark > self._image:
                with Image.open(path) as image:
                    self._client.log_image(self.id, image, key=name, step=step)
                self._image = mark
                self._remember()

    def _remember(self) -> None:
        if self._state is not None:
            state = {"uri": self.store, "run_id": self.id, "step": self._sent, "picture": self._image}
            write_file(self._state, json.dumps(state).encode())


def read_state(state: Path | None) -> dict[str, Any]:
    """Read a state file; empty if missing, or after a warning if damaged."""
    if state is None or not state.is_file():
        return {}
    try:
        return documents.read(state, _State, remedy="starting a new run")
    except documents.DocumentError as error:
        say(f"tracking: {error}")
        return {}
