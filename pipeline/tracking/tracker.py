"""A tracker: what the stages tell of a run, whoever records it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


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
