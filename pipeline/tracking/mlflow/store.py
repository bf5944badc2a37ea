"""Store of MLflow runs, at one absolute address for all working directories."""

import os
from typing import TYPE_CHECKING

from pipeline.config.places import project
from pipeline.config.redaction import MASK, first_line, redacted, with_secrets_of
from pipeline.config.schema import TrackingConfig
from pipeline.tracking.mlflow import database

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with its password
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}
"""Environment variables of MLflow, unless set: the outbox retries instead."""

FINAL = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")
"""MLflow error codes that a retry cannot fix."""


class TrackingError(ValueError):
    """Configured store that cannot record runs."""


def default_uri() -> str:
    """Return MLFLOW_TRACKING_URI, or the absolute address of mlflow.db in the project."""
    return os.environ.get(VARIABLE) or database.address(project() / "mlflow.db")


def uri_of(config: TrackingConfig) -> str:
    """Address to connect to, with secrets from MLFLOW_TRACKING_URI; TrackingError if they are missing."""
    if config.uri is None:
        return default_uri()
    uri = with_secrets_of(config.uri, os.environ.get(VARIABLE))
    if f"://{MASK}@" in uri:
        raise TrackingError(f"tracking.uri = {uri} lacks user and password: set {VARIABLE} to all of it")
    return uri


def open_store(config: TrackingConfig, *, create: bool = True) -> "MlflowClient":
    """Create a client of the store; TrackingError without MLflow or for an unusable store.

    With `create`, a missing database and experiment are created, and paths of a moved store updated.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise TrackingError("MLflow is not installed: install it or run with tracking=none") from None
    uri = uri_of(config)
    file = database.file_of(uri)
    try:
        if file is not None and create:
            database.make(file)
            database.follow_move(file)
        elif file is not None:
            database.require_whole(file)
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(config.experiment)
        if experiment is None and create:
            artifacts = None if file is None else database.artifacts_of(file)  # a server decides for itself
            experiment = _create(client, config.experiment, artifacts)
    except database.DatabaseError as error:
        raise TrackingError(f"tracking store: {error}, or run with tracking=none") from None
    except Exception as error:  # every store raises its own, and quotes the address with its secrets
        raise TrackingError(unusable(uri, error)) from None
    if create and experiment is not None and is_deleted(experiment):
        raise TrackingError(deletion(config, experiment))
    return client


def _create(client: "MlflowClient", name: str, artifacts: str | None) -> "Experiment | None":
    """Create an experiment, unless another process was first."""
    try:
        client.create_experiment(name, artifact_location=artifacts)
    except Exception:
        if client.get_experiment_by_name(name) is None:
            raise
    return client.get_experiment_by_name(name)


def is_deleted(experiment: "Experiment") -> bool:
    """True for a deleted experiment, which keeps its name until it is removed permanently."""
    return experiment.lifecycle_stage != "active"


def deletion(config: TrackingConfig, experiment: "Experiment") -> str:
    """Message about a deleted experiment; restoring it restores its deleted runs, too."""
    whole = uri_of(config)
    uri = redacted(whole)
    command = f"mlflow experiments restore -x {experiment.experiment_id}"
    setting = f"{VARIABLE}='{uri}'" if uri == whole else f"set {VARIABLE} to all of it, and"
    problem = f"tracking.experiment = {config.experiment} was deleted in {uri}"
    return f"{problem}: restore it ({setting} {command}), or use another with tracking.experiment=NAME"


def revive(client: "MlflowClient", run_id: str) -> bool:
    """Set the status of a run to RUNNING; False if it does not exist, TrackingError without an answer."""
    try:
        if client.get_run(run_id).info.lifecycle_stage != "active":
            return False
        client.update_run(run_id, status="RUNNING")
    except Exception as error:  # every store raises its own
        if is_final(error):
            return False
        raise TrackingError(unusable(client.tracking_uri, error)) from None
    return True


def experiment_of(config: TrackingConfig, run_id: str) -> str | None:
    """Name of a run's experiment; None if there is no such run, TrackingError without an answer."""
    client = open_store(config, create=False)
    try:
        return str(client.get_experiment(client.get_run(run_id).info.experiment_id).name)
    except Exception as error:  # every store raises its own
        if is_final(error):
            return None
        raise TrackingError(unusable(client.tracking_uri, error)) from None


def is_final(error: Exception) -> bool:
    """True for errors that a retry cannot fix: a deleted run, a missing or damaged file."""
    is_local = isinstance(error, FileNotFoundError) or type(error) is ValueError
    return is_local or getattr(error, "error_code", None) in FINAL


def unreached(config: TrackingConfig) -> "MlflowClient | None":
    """Client of a server, without a request to it; None for sqlite files."""
    from mlflow.tracking import MlflowClient

    uri = uri_of(config)
    return MlflowClient(uri) if uri.startswith(("http://", "https://")) else None


def unusable(uri: str, error: Exception) -> str:
    """Message about a store that failed, with secrets masked, and the remedy."""
    problem = redacted(f"tracking store {uri} cannot be used ({first_line(error)})")
    return f"{problem}: start it, correct tracking.uri or {VARIABLE}, or run with tracking=none"
