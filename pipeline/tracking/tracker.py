"""Interface of trackers, which record runs for the stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Tracker of a run. Methods that send return at once; all may be called at any time before `finish`."""

    run_id: str | None

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Send the options of the run, by dotted name."""
        ...

    def tags(self, values: Mapping[str, str]) -> None:
        """Send tags of the run's provenance."""
        ...

    def follow(self, metrics: Path) -> None:
        """Send new records of metrics.jsonl."""
        ...

    def images(self, samples: Path, *, step: int) -> None:
        """Send new images of steps up to this one."""
        ...

    def artifact(self, path: Path, folder: str = "") -> None:
        """Send a file, or a folder with its content."""
        ...

    def catch_up(self, checkpoints: Path) -> None:
        """Send results that earlier stages could not send and left in this folder."""
        ...

    def flush(self) -> bool:
        """Wait until all has arrived (True) or the server does not answer (False)."""
        ...

    def finish(self, status: str = "FINISHED") -> None:
        """Set the status to FINISHED, FAILED or KILLED, after `flush`."""
        ...


class NoTracker:
    """Tracker that records nothing."""

    run_id: str | None = None

    def parameters(self, values: Mapping[str, Any]) -> None: ...
    def tags(self, values: Mapping[str, str]) -> None: ...
    def follow(self, metrics: Path) -> None: ...
    def images(self, samples: Path, *, step: int) -> None: ...
    def artifact(self, path: Path, folder: str = "") -> None: ...
    def catch_up(self, checkpoints: Path) -> None: ...
    def finish(self, status: str = "FINISHED") -> None: ...

    def flush(self) -> bool:
        """Return True: nothing is missing."""
        return True
