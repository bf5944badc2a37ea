"""A sweep from its first trial to its last, by Ray Tune."""

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.config.loader import as_dict
from pipeline.config.pinned import without_private
from pipeline.config.redaction import redacted
from pipeline.runtime.signals import Interrupts
from pipeline.sweep.ledger import Ledger
from pipeline.sweep.request import OBJECTIVE, Request, threads
from pipeline.sweep.trials import STOP, Trial
from pipeline.sweep.tune import schedulers
from pipeline.sweep.tune.datasets import DataSets, key_of
from pipeline.sweep.tune.private import Private
from pipeline.sweep.tune.searchers import Listed, Source, Suggested
from pipeline.tracking.mlflow.store import default_uri

__all__ = ["STOP", "run", "stopping"]


TUNE = "tune"
"""Folder of Tune's own files, in that of the sweep while trials run."""
KEPT_CHECKPOINTS = 3
"""Checkpoints of each trial in Tune's own files, for trials that go on from it."""


def stopping(file: Path) -> Interrupts:
    """Interrupts by which trials write a checkpoint and end.

    Args:
        file: by which trials know, on whatever machine.
    """
    file.unlink(missing_ok=True)
    return Interrupts("trials write a checkpoint and end", file.touch)


def source(request: Request) -> Source:
    """Source of the points of the request."""
    return Suggested(request) if request.points is None else Listed(request.points)


def run(
    request: Request,
    ledger: Ledger,
    interrupts: Interrupts,
    *,
    data: DataSets,
    parent: str | None,
    changed: Callable[[], None],
    force: bool,
) -> None:
    """Run all trials that are not over.

    Args:
        request: what is searched.
        ledger: its trials, also those of before.
        interrupts: signals that end the sweep early.
        data: that trials train on.
        parent: run that those of the trials belong to.
        changed: called whenever something may have changed, several times a second.
        force: whether trainings begin although they seem beyond their machine.
    """
    from ray import tune

    from pipeline.sweep.tune.callback import SweepCallback
    from pipeline.sweep.tune.queue import Queue
    from pipeline.sweep.tune.trainable import TrainingTrial

    points = source(request)
    for trial in list(ledger.trials.values()):
        points.known(trial)

    def more() -> Trial | None:
        values = points.next(len(ledger.trials))
        if values is None:
            return None
        trial = ledger.add(values, points_per_ray=request.compose(values).config.sampler.points)
        if isinstance(points, Suggested):
            points.named(trial)
        return trial

    def describe(trial: Trial) -> dict[str, Any]:
        return {**_arguments(request, trial, data), "force": force}

    queue = Queue(ledger.unfinished, more, describe, lambda: interrupts.exit_code is not None)
    sweep = request.settings.sweep
    gpus = ledger.gpus
    trainable = tune.with_parameters(TrainingTrial, private=_private(request, data, parent))
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": sweep.cpus, **({"GPU": gpus} if gpus else {})}),
        tune_config=tune.TuneConfig(
            search_alg=queue, scheduler=schedulers.scheduler(request, ledger.histories()), num_samples=10**6,
            max_concurrent_trials=sweep.max_concurrent or None, reuse_actors=False,
            trial_name_creator=lambda trial: queue.names[trial.trial_id],
            trial_dirname_creator=lambda trial: queue.names[trial.trial_id],
        ),
        run_config=tune.RunConfig(
            name=TUNE, storage_path=str(request.folder), verbose=0,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=sweep.retries + 10),
            callbacks=[SweepCallback(ledger, points, changed, sweep.objective or OBJECTIVE)],
        ),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consider boosting PBT performance")
        tuner.fit()
    shutil.rmtree(request.folder / TUNE, ignore_errors=True)  # trials have all that they go on from


def _private(request: Request, data: DataSets, parent: str | None) -> Private:
    """Options of trials beside `_arguments`, which Tune writes into files."""
    config = request.config
    tracking = asdict(config.tracking)
    if config.tracking.kind != "none":  # whatever the environment of the trial's machine says
        tracking["uri"] = config.tracking.uri or redacted(default_uri())
        tracking["parent"] = parent
    return Private(tracking=tracking, paths=asdict(config.paths), data=data.places)


def _arguments(request: Request, trial: Trial, data: DataSets) -> dict[str, Any]:
    """Configuration of a `TrainingTrial`."""
    config = request.compose(trial.values).config
    config.train.threads = threads(config, request.settings.sweep.cpus)
    if request.settings.sweep.scheduler == "pbt":  # a checkpoint of every step at which trials are compared
        measured = (request.settings.sweep.objective or OBJECTIVE).startswith(OBJECTIVE)
        config.train.checkpoint_every = config.train.measure_every if measured else config.train.log_every
        config.train.keep_checkpoints = max(3, config.train.keep_checkpoints)
    tree = {"preset": request.presets, **without_private(as_dict(config))}
    meta = json.loads((Path(data.paths(config)["train_data"]) / "meta.json").read_text(encoding="utf-8"))
    return {
        "folder": str(request.folder), "params": json.dumps(tree), "values": trial.values,
        "objective": request.settings.sweep.objective or OBJECTIVE, "retries": request.settings.sweep.retries,
        "population": request.settings.sweep.scheduler == "pbt", "data": key_of(config),
        "data_hash": meta["content_hash"],
    }  # fmt: skip
