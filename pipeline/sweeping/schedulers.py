"""What Ray Tune stops early, or has go on from better trials."""

from typing import TYPE_CHECKING

from pipeline.sweeping.request import Request

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

TIME = "step"


def scheduler(request: Request) -> "TrialScheduler":
    """The scheduler that the request names."""
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

    sweep, steps = request.settings.sweep, request.config.train.steps
    grace = sweep.grace_steps or max(1, steps // 8)
    if sweep.scheduler == "asha":
        return AsyncHyperBandScheduler(
            time_attr=TIME, metric="objective", mode="min", max_t=max(steps, grace + 1), grace_period=grace,
            reduction_factor=sweep.reduction, stop_last_trials=False,
        )  # fmt: skip
    return FIFOScheduler()
