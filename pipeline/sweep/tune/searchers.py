"""Sources of the points of a search: a list, or Optuna."""

import random
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.sweep.request import Request
from pipeline.sweep.space import Choice, Interval, Values
from pipeline.sweep.trials import Trial

if TYPE_CHECKING:
    from optuna.trial import Trial as Suggestion


class Source(Protocol):
    """Source of points, beside those of trials that are known."""

    def known(self, trial: Trial) -> None:
        """Take over a trial of before, ended or not."""
        ...

    def next(self, index: int) -> Values | None:
        """The point of the trial of this number; None after the last one."""
        ...

    def result(self, trial: Trial) -> None:
        """Take over the end of a trial."""
        ...


class Listed:
    """Points that were known before the start."""

    def __init__(self, points: list[Values]) -> None:
        self._points = points

    def known(self, trial: Trial) -> None: ...

    def next(self, index: int) -> Values | None:
        """See `Source`."""
        return self._points[index] if index < len(self._points) else None

    def result(self, trial: Trial) -> None: ...


class Suggested:
    """Points that Optuna chooses (tree-structured Parzen estimator) by every result.

    Its study is made again from the trials when a sweep goes on: trial.json is all that is kept. A point
    depends on nothing but the seed, its number and what is known of the trials before it.
    """

    def __init__(self, request: Request) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self._space = optuna, request.space
        self._count = request.num_trials
        self._seed = request.settings.sweep.seed
        self._study = optuna.create_study()
        self._distributions = {name: self._distribution(entry) for name, entry in request.space.items()}
        self._suggestions: dict[str, Suggestion] = {}
        self._newest: Suggestion | None = None

    def known(self, trial: Trial) -> None:
        """See `Source`."""
        parameters = self._parameters(trial.values)
        if not trial.over:
            self._study.enqueue_trial(parameters)
            self._suggestions[trial.name] = self._study.ask(self._distributions)
            return
        state = self._optuna.trial.TrialState
        lost = trial.status == "failed" or trial.objective is None
        self._study.add_trial(
            self._optuna.trial.create_trial(
                params=parameters, distributions=self._distributions,
                state=state.FAIL if lost else state.COMPLETE, value=None if lost else trial.objective,
            )
        )  # fmt: skip

    def next(self, index: int) -> Values | None:
        """See `Source`."""
        if index >= self._count:
            return None
        # A sweep that goes on has drawn nothing before: every draw has a seed of its own.
        seed = random.Random(f"{self._seed} {index}").randrange(2**32)
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
        self._newest = self._study.ask(self._distributions)
        return {
            name: entry.values[self._newest.params[name]]
            if isinstance(entry, Choice)
            else self._newest.params[name]
            for name, entry in self._space.items()
        }

    def result(self, trial: Trial) -> None:
        """See `Source`."""
        lost = trial.status == "failed" or trial.objective is None
        state = self._optuna.trial.TrialState.FAIL if lost else None
        self._study.tell(self._suggestions[trial.name], None if lost else trial.objective, state=state)

    def named(self, trial: Trial) -> None:
        """Know the trial of the last point."""
        assert self._newest is not None
        self._suggestions[trial.name] = self._newest

    def _parameters(self, values: Values) -> dict[str, Any]:
        return {
            name: entry.values.index(values[name]) if isinstance(entry, Choice) else values[name]
            for name, entry in self._space.items()
        }

    def _distribution(self, entry: Choice | Interval) -> Any:
        kinds = self._optuna.distributions
        if isinstance(entry, Choice):
            return kinds.CategoricalDistribution(range(len(entry.values)))
        if entry.whole:
            return kinds.IntDistribution(int(entry.low), int(entry.high))
        return kinds.FloatDistribution(entry.low, entry.high, log=entry.log)
