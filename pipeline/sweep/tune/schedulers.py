"""Schedulers of Ray Tune, which stop trials early or have them go on from better ones."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline.sweep.request import Request
from pipeline.sweep.space import Choice, Dimension, Interval, Space

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

TIME = "step"


def scheduler(request: Request, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> "TrialScheduler":
    """The scheduler that the request names, with the reports of trials that are over.

    Args:
        request: of the sweep.
        histories: name -> reports of trials that will not run again.
    """
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, PopulationBasedTraining

    sweep, steps, space = request.settings.sweep, request.config.train.steps, request.space
    grace = sweep.grace_steps or max(1, steps // 8)
    if sweep.scheduler == "asha":
        asha = AsyncHyperBandScheduler(
            time_attr=TIME, metric="objective", mode="min", max_t=max(steps, grace + 1), grace_period=grace,
            reduction_factor=sweep.reduction, stop_last_trials=False,
        )  # fmt: skip
        for name, reports in histories.items():
            _recall(asha, name, reports, request)
        return asha
    if sweep.scheduler == "pbt":

        class Population(PopulationBasedTraining):
            """Scheduler of trials from `Queue`, for Tune accepts no searcher that may learn from results."""

            def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
                super().on_trial_add(SimpleNamespace(search_alg=None), trial)  # type: ignore[arg-type]

        return Population(
            time_attr=TIME, metric="objective", mode="min", perturbation_interval=grace,
            burn_in_period=grace, require_attrs=False, log_config=False,
            hyperparam_mutations={"values": {name: _mutation(entry) for name, entry in space.items()}},
            custom_explore_fn=lambda config: _within(config, space),
        )  # fmt: skip
    return FIFOScheduler()


def _recall(asha: Any, name: str, reports: Sequence[Mapping[str, Any]], request: Request) -> None:
    """Have the rungs of the ladder know a trial of before."""
    trial = SimpleNamespace(trial_id=name)
    asha.on_trial_add(None, trial)
    for report in reports:
        values = [
            value for metric, value in report.items() if request.is_objective(metric) and value is not None
        ]
        if values and report["step"] < request.config.train.steps:
            asha.on_trial_result(None, trial, {TIME: report["step"], "objective": values[0]})


def _mutation(entry: Dimension) -> Any:
    """Distribution that a value is drawn from again."""
    from ray import tune

    if isinstance(entry, Choice):
        return list(entry.values)
    if entry.whole:
        return tune.randint(int(entry.low), int(entry.high) + 1)
    return (tune.loguniform if entry.log else tune.uniform)(entry.low, entry.high)


def _within(config: dict[str, Any], space: Space) -> dict[str, Any]:
    """Values that were multiplied stay between the ends of their intervals."""
    for name, entry in space.items():
        if isinstance(entry, Interval):
            value = min(max(config["values"][name], entry.low), entry.high)
            config["values"][name] = round(value) if entry.whole else value
    return config
