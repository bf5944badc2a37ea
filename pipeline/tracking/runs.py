"""MLflow runs of the stages: creation, resumption, and later delivery when the store is away.

Stages write files; trackers follow them. A tracking server that is slow, hangs or goes away causes a warning,
and neither delays nor ends training: missed results, images included, are read from the files and sent later.
MLflow is imported late.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.console import say
from pipeline.config.redaction import redacted
from pipeline.config.schema import TrackingConfig
from pipeline.tracking.mlflow import unsent
from pipeline.tracking.mlflow.database import file_of
from pipeline.tracking.mlflow.store import TrackingError, open_store, revive, unreached, unusable
from pipeline.tracking.mlflow.tracker import AGAIN, MlflowTracker, read_state
from pipeline.tracking.tracker import NoTracker, Tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

STATE = "tracking.json"
"""File beside the checkpoints that identifies the run."""
NEXT_STAGE = "the next stage sends it"


def start(
    config: TrackingConfig, *, state: Path | None = None, run_id: str | None = None, later: str = AGAIN
) -> Tracker:
    """Create the configured tracker.

    Args:
        config: section of the configuration.
        state: file beside the checkpoints; a run of the same store in it is resumed, also while a server is
            away.
        run_id: run of the same store to add to; ignored if it does not exist.
        later: message on how results that are missing in the end can be sent.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
    """
    if config.kind == "none":
        return NoTracker()
    remembered = read_state(state)
    try:
        client = open_store(config)
        if _is_same_store(remembered.get("uri"), client.tracking_uri):
            run_id = remembered["run_id"]
        if run_id is None or not revive(client, run_id):
            if state is not None:
                state.unlink(missing_ok=True)
            run_id = _new_run(client, config)
    except TrackingError as error:
        client, run_id = _without_asking(config, remembered, error), str(remembered["run_id"])
    return MlflowTracker(client, run_id, state=state, later=later)


def of_model(config: TrackingConfig, run_id: str | None, *, later: str = AGAIN) -> Tracker:
    """Create a tracker of the run that trained a model, or one that records nothing if the store lacks it.

    A model from elsewhere thus makes no run, unless tracking.run names one.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
    """
    if config.kind == "none" or config.run is not None:
        return start(config, run_id=run_id, later=later)
    if run_id is not None and revive(open_store(config), run_id):
        return start(config, run_id=run_id, later=later)
    say("tracking: this model has no run in the store, nothing is recorded; tracking.run=NAME makes one")
    return NoTracker()


def add(
    config: TrackingConfig,
    run_id: str | None,
    stage: str,
    *,
    values: Mapping[str, float] | None = None,
    artifacts: Mapping[Path, str],
    checkpoints: Path,
) -> None:
    """Add results of a stage to the run that trained the model; a failure does not fail the stage.

    `artifacts` are files or folders with their folder in the run's artifacts; unsent results are kept in
    `checkpoints` for the next stage.
    """
    if config.kind == "none":
        return
    places = [(str(path.absolute()), folder) for path, folder in artifacts.items()]
    addition = unsent.Addition(run_id or "", stage, dict(values or {}), places)
    try:
        tracker = of_model(config, run_id, later=NEXT_STAGE)
    except TrackingError as error:
        later = AGAIN
        if run_id is not None and (client := unreached(config)) is not None:
            later = NEXT_STAGE if _keep(checkpoints, client.tracking_uri, addition) else AGAIN
        say(f"tracking: {stage} is done, but not recorded: {error}; then {later}")
        return
    if not isinstance(tracker, MlflowTracker):  # nothing is recorded
        return
    _keep(checkpoints, tracker.store, replace(addition, run_id=tracker.id))
    tracker.catch_up(checkpoints)
    tracker.finish()


def _keep(checkpoints: Path, uri: str, addition: unsent.Addition) -> bool:
    """Write unsent results and return True, or report the error: a full disk does not fail the stage."""
    try:
        unsent.keep(checkpoints, redacted(uri), addition)
    except OSError as error:
        say(f"tracking: {addition.stage} is not recorded, nothing can be written to {checkpoints}: {error}")
        return False
    return True


def _without_asking(
    config: TrackingConfig, remembered: Mapping[str, Any], error: TrackingError
) -> "MlflowClient":
    """Client of a server that does not answer now, but is known to have the run; else raises `error`."""
    client = unreached(config)
    if client is None or not _is_same_store(remembered.get("uri"), client.tracking_uri):
        raise error
    say(f"tracking: continuing run {remembered['run_id']}, results are sent later: {error}")
    return client


def _new_run(client: "MlflowClient", config: TrackingConfig) -> str:
    tags = {"mlflow.user": os.environ.get("USER", ""), "mlflow.source.name": "python -m pipeline"}
    if config.parent is not None:
        tags["mlflow.parentRunId"] = config.parent
    try:
        experiment = client.get_experiment_by_name(config.experiment)
        assert experiment is not None, "open_store creates it"
        return client.create_run(experiment.experiment_id, tags=tags, run_name=config.run).info.run_id
    except Exception as error:  # every store raises its own
        raise TrackingError(unusable(client.tracking_uri, error)) from None


def _is_same_store(known: str | None, uri: str) -> bool:
    """True if two addresses are of one store: equal, or both sqlite, as a project may have been moved."""
    if known is None:
        return False
    return redacted(known) == redacted(uri) or None not in (file_of(known), file_of(uri))
