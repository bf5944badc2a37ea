"""Settings of a sweep: the options of conf/sweep/*.yaml beside the search space itself."""

from dataclasses import dataclass, field

from pipeline.config.fields import option
from pipeline.sweep.space import MOST_TRIALS


@dataclass(kw_only=True)
class SweepConfig:
    """A search, and the resources that it may use."""

    name: str | None = option("name of its folder and its run; null is that of its file", default=None)
    folder: str = option(
        "folder of all sweeps; many machines need a shared one",
        path=True,
        local=True,
        affects_result=False,
        default="sweeps",
    )
    search: str = option(
        "every combination, points drawn at random, or chosen by Optuna",
        choices=("grid", "random", "optuna"), default="grid",
    )  # fmt: skip
    num_trials: int | None = option(
        "number of trials of a random or Optuna search",
        low=1,
        high=MOST_TRIALS,
        affects_result=False,
        default=None,
    )
    scheduler: str = option(
        "asha stops what is not promising, pbt has bad trials go on from good ones",
        choices=("none", "asha", "pbt"), default="none",
    )  # fmt: skip
    grace_steps: int | None = option(
        "steps before a scheduler acts; null is an eighth of train.steps", low=1, default=None
    )
    reduction: int = option("asha goes on with one in so many", low=2, default=3)
    objective: str | None = option(
        "metric of metrics.jsonl, smallest is best; null is the first distance/", default=None
    )
    max_concurrent: int = option(
        "trials at a time; 0 is as many as there is room for", low=0, affects_result=False, default=0
    )
    cpus: float = option(
        "CPUs of a trial, and its threads", above=0, high=10_000, affects_result=False, default=1.0
    )
    gpus: float | None = option(
        "GPUs of a trial, 0.5 shares one; null is 1 if there are any",
        low=0,
        high=10_000,
        affects_result=False,
        default=None,
    )
    retries: int = option(
        "times that a trial is started again after it failed",
        low=0,
        high=1000,
        affects_result=False,
        default=1,
    )
    seed: int = option("seed of random points", low=0, default=0)


@dataclass(kw_only=True)
class RayConfig:
    """The cluster."""

    address: str | None = option(
        "auto, or HOST:PORT of a running cluster; null is this machine alone", local=True, default=None
    )


@dataclass(kw_only=True)
class Settings:
    """Everything that is no option of a trial."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    ray: RayConfig = field(default_factory=RayConfig)
