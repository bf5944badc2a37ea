"""Delivery of tags, numbers and status of other processes' runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.cli.console import say
from pipeline.config.redaction import first_line

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LONGEST = 5000
"""Maximum characters of a tag in MLflow."""


@dataclass
class _Arrived:
    """Tags and metrics of a run in the store."""

    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


class Sender:
    """Sender of what a store lacks.

    `tolerant` turns errors of the store into a warning; sending everything again later makes up for them.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client
        self.away = False
        self._arrived: dict[str, _Arrived] = {}
        self._refused: set[str] = set()

    def send(
        self,
        run_id: str,
        *,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
    ) -> bool:
        """Send all differences to the run's state in one request; True if there are any."""
        from mlflow.entities import Metric, RunTag
        from mlflow.utils.time import get_current_time_millis

        arrived, now = self._known(run_id), get_current_time_millis()
        words = {name: text[:LONGEST] for name, text in (tags or {}).items()}
        words = {name: text for name, text in words.items() if arrived.tags.get(name) != text}
        numbers = {name: x for name, x in (metrics or {}).items() if arrived.metrics.get(name) != x}
        if not words and not numbers:
            return False
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, step) for name, value in numbers.items()],
            tags=[RunTag(name, text) for name, text in words.items()],
        )
        arrived.tags |= words
        arrived.metrics |= numbers
        return True

    def end(self, run_id: str, status: str) -> None:
        """Set the status of a run whose process may have been killed before."""
        if self.client.get_run(run_id).info.status != status:
            self.client.set_terminated(run_id, status)

    def forget(self, run_id: str) -> None:
        """Read the state of a run again, as another process also writes to it."""
        self._arrived.pop(run_id, None)

    @contextmanager
    def tolerant(self) -> Iterator[None]:
        """Context that reports errors of the store once and suppresses them."""
        try:
            yield
        except Exception as error:  # every store raises its own
            if not self.away:
                say(f"tracking: the sweep continues without {self.client.tracking_uri}: {first_line(error)}")
            self.away = True
        else:
            if self.away:
                say(f"tracking: {self.client.tracking_uri} is back and has all of the sweep")
            self.away = False

    @contextmanager
    def skipping(self, run_id: str, *, witness: str) -> Iterator[None]:
        """Context that skips a run refused by its store (deleted); raises if the run `witness` fails, too."""
        try:
            yield
        except Exception as error:  # every store raises its own
            self.client.get_run(witness)
            say(f"tracking: run {run_id} accepts no more results: {first_line(error)}")
            self._refused.add(run_id)

    def refuses(self, run_id: str) -> bool:
        """True if a run was skipped."""
        return run_id in self._refused

    def _known(self, run_id: str) -> _Arrived:
        if run_id not in self._arrived:
            data = self.client.get_run(run_id).data
            self._arrived[run_id] = _Arrived(dict(data.tags), dict(data.metrics))
        return self._arrived[run_id]
