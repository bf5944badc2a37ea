"""Reports of Ray Tune on trials, passed on to the ledger, to the source of points and to the display."""

from collections.abc import Callable
from typing import Any

from ray.tune import Callback

from pipeline.cli.console import say
from pipeline.config.options import suggestion
from pipeline.sweep.ledger import Ledger
from pipeline.sweep.trials import Trial
from pipeline.sweep.tune.searchers import Source


class SweepCallback(Callback):
    """Keeper of the ledger while Tune runs trials.

    Args:
        ledger: of the sweep.
        points: source of points, which results are passed to.
        changed: called whenever something may have changed, several times a second.
        objective: metric, or the beginning of its name, that trials are compared by.
    """

    def __init__(self, ledger: Ledger, points: Source, changed: Callable[[], None], objective: str) -> None:
        self._ledger, self._points, self._changed, self._objective = ledger, points, changed, objective

    def __reduce__(self) -> tuple[Any, ...]:
        """A plain callback in Tune's files: the ledger is on disk, and a terminal cannot be stored."""
        return Callback, ()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """See `Callback`."""
        self._changed()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """See `Callback`."""
        self._ledger.started(str(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """See `Callback`."""
        name = str(trial)
        self._ledger.reported(name, result)
        if not result["done"]:
            return
        status, why = result.get("ended", "stopped"), result.get("reason")
        if status == "stopped":
            why = f"{result['objective']:.4g} at step {result['step']} was not promising"
        self._ledger.ended(name, status, why)
        if status != "pending":
            self._points.result(self._ledger.trials[name])
        if status == "finished" and self._ledger.trials[name].objective is None:
            _tell_missing(self._ledger.trials[name], self._objective)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """See `Callback`."""
        self._ledger.failed_once(str(trial), _why(trial))
        say(f"sweep: {trial}: {self._ledger.trials[str(trial)].reason}; it is started again")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """See `Callback`."""
        self._ledger.ended(str(trial), "failed", _why(trial))
        self._points.result(self._ledger.trials[str(trial)])


def _tell_missing(trial: Trial, objective: str) -> None:
    hint = suggestion(objective, trial.metrics)
    say(f"sweep: {trial.name}: its metrics.jsonl has no number for sweep.objective = {objective}{hint}")


def _why(trial: Any) -> str:
    """The last failure, in one line; a trial that said nothing was killed with its machine."""
    latest = str(trial.get_error() or "").rpartition("Failure #")[2]
    said = [line.partition("TrialError: ")[2] for line in latest.splitlines() if "TrialError: " in line]
    return said[-1] if said else "its process or its machine was lost"
