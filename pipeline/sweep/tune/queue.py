"""The order of trials as Ray Tune asks for it."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from pipeline.sweep.trials import Trial


class Queue(Searcher):
    """Trials as Tune requests them: unfinished ones first, then `more`.

    Args:
        waiting: trials that go on.
        more: makes a further trial; None when there are no more.
        describe: configuration of a trial's `TrainingTrial`.
        stopping: true where no further trial is to start.
    """

    def __init__(
        self,
        waiting: list[Trial],
        more: Callable[[], Trial | None],
        describe: Callable[[Trial], Mapping[str, Any]],
        stopping: Callable[[], bool],
    ) -> None:
        super().__init__(metric="objective", mode="min")
        self._waiting, self._more, self._describe, self._stopping = list(waiting), more, describe, stopping
        self.names: dict[str, str] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """A plain searcher in Tune's files: trial.json is all that a sweep is resumed from."""
        return Searcher, ()

    def suggest(self, trial_id: str) -> Any:
        """The next trial's arguments; its name is `names[trial_id]`."""
        if self._stopping():
            return Searcher.FINISHED
        trial = self._waiting.pop(0) if self._waiting else self._more()
        if trial is None:
            return Searcher.FINISHED
        self.names[trial_id] = trial.name
        return dict(self._describe(trial))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Results reach the source of points elsewhere."""

    def save(self, checkpoint_path: str) -> None:
        """Write no file: see `Suggested`."""

    def restore(self, checkpoint_path: str) -> None:
        """Read no file."""
