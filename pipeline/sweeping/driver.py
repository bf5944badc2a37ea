"""A sweep from its first trial to its last: Ray Tune, and what is kept of what it reports."""

import json
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.cli import EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.config import as_dict
from pipeline.console import say
from pipeline.redaction import redacted
from pipeline.schema import Config
from pipeline.store import default_uri
from pipeline.sweeping import schedulers
from pipeline.sweeping.ledger import Ledger
from pipeline.sweeping.request import OBJECTIVE, Request, threads
from pipeline.sweeping.searchers import Listed, Source, Suggested
from pipeline.sweeping.trials import STOP, Trial

__all__ = ["STOP", "Stopping", "run", "stopping"]


KEPT_CHECKPOINTS = 3
"""Of each trial, in Tune's own files, for trials that go on from it."""


class Stopping:
    """A request to end, made by a signal: trials write a checkpoint; a second one ends at once.

    Args:
        file: tells the trials, wherever they run.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.number: int | None = None

    @property
    def exit_code(self) -> int | None:
        """Of the stage; None while nobody asked for an end."""
        if self.number is None:
            return None
        return EXIT_INTERRUPTED if self.number == signal.SIGINT else EXIT_REQUEUE

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number
        self._file.touch()
        say(f"\n{signal.Signals(number).name}: trials write a checkpoint and end; again ends at once")


@contextmanager
def stopping(file: Path) -> Iterator[Stopping]:
    """While entered, SIGINT and SIGTERM ask for an end."""
    file.unlink(missing_ok=True)
    asked = Stopping(file)
    before = {number: signal.signal(number, asked.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def source(request: Request) -> Source:
    """Where the points of the request come from."""
    return Suggested(request) if request.points is None else Listed(request.points)


def run(
    request: Request,
    ledger: Ledger,
    asked: Stopping,
    *,
    paths: Callable[[Config], Mapping[str, str]],
    parent: str | None,
    changed: Callable[[], None],
) -> None:
    """Run all trials that are not over.

    Args:
        request: what is searched.
        ledger: its trials, also those of before.
        asked: whether to end early.
        paths: the data sets of a trial's configuration.
        parent: run that those of the trials belong to.
        changed: called whenever something may have changed, several times a second.
    """
    from ray import tune

    from pipeline.sweeping.observer import Observer
    from pipeline.sweeping.queue import Queue
    from pipeline.sweeping.trainable import TrainingTrial

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
        return _arguments(request, trial, paths, parent)

    queue = Queue(ledger.unfinished, more, describe, lambda: asked.number is not None)
    sweep = request.settings.sweep
    gpus = ledger.gpus
    tuner = tune.Tuner(
        tune.with_resources(TrainingTrial, {"CPU": sweep.cpus, **({"GPU": gpus} if gpus else {})}),
        tune_config=tune.TuneConfig(
            search_alg=queue, scheduler=schedulers.scheduler(request, ledger.histories()), num_samples=10**6,
            max_concurrent_trials=sweep.max_concurrent or None, reuse_actors=False,
            trial_name_creator=lambda trial: queue.names[trial.trial_id],
            trial_dirname_creator=lambda trial: queue.names[trial.trial_id],
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=str(request.folder), verbose=0,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=sweep.retries + 10),
            callbacks=[Observer(ledger, points, changed, sweep.objective or OBJECTIVE)],
        ),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consider boosting PBT performance")
        tuner.fit()


def _arguments(
    request: Request, trial: Trial, paths: Callable[[Config], Mapping[str, str]], parent: str | None
) -> dict[str, Any]:
    """What `TrainingTrial` is given."""
    config = request.compose(trial.values).config
    config.train.threads = threads(config, request.settings.sweep.cpus)
    if request.settings.sweep.scheduler == "pbt":  # a checkpoint of every step at which trials are compared
        measured = (request.settings.sweep.objective or OBJECTIVE).startswith(OBJECTIVE)
        config.train.checkpoint_every = config.train.measure_every if measured else config.train.log_every
        config.train.keep_checkpoints = max(3, config.train.keep_checkpoints)
    if config.tracking.kind != "none":  # whatever the environment of the trial's machine says
        config.tracking.uri = config.tracking.uri or redacted(default_uri())
        config.tracking.parent = parent
    tree = as_dict(config)
    tree["preset"] = request.presets
    tree["paths"] |= paths(config)
    meta = json.loads((Path(tree["paths"]["train_data"]) / "meta.json").read_text(encoding="utf-8"))
    return {
        "folder": str(request.folder), "params": json.dumps(tree), "values": trial.values,
        "objective": request.settings.sweep.objective or OBJECTIVE, "retries": request.settings.sweep.retries,
        "population": request.settings.sweep.scheduler == "pbt", "data_hash": meta["content_hash"],
    }  # fmt: skip
