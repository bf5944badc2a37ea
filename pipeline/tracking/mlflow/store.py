"""Where MLflow keeps runs: one absolute place, whatever directory a stage is started in."""

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
"""Of MLflow, where the environment does not say otherwise: the outbox repeats what fails."""

FINAL = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")
"""Codes of MLflow's errors that no repetition mends."""


class TrackingError(ValueError):
    """Runs cannot be recorded where the configuration says."""


def default_uri() -> str:
    """MLFLOW_TRACKING_URI, or mlflow.db in the project (absolute, wherever the stage was started)."""
    return os.environ.get(VARIABLE) or database.address(project() / "mlflow.db")


def uri_of(config: TrackingConfig) -> str:
    """The address to connect to; its secrets, which no file keeps, are those of MLFLOW_TRACKING_URI.

    Raises:
        TrackingError: the address has lost its secrets, and the environment does not have them.
    """
    if config.uri is None:
        return default_uri()
    uri = with_secrets_of(config.uri, os.environ.get(VARIABLE))
    if f"://{MASK}@" in uri:
        raise TrackingError(f"tracking.uri = {uri} lacks user and password: set {VARIABLE} to all of it")
    return uri


def open_store(config: TrackingConfig, *, create: bool = True) -> "MlflowClient":
    """A client of a store in which database and experiment exist.

    Args:
        config: where to record.
        create: make database and experiment where there are none, and let a moved store follow its move.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
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
    """Make an experiment, or take the one that another process has made meanwhile."""
    try:
        client.create_experiment(name, artifact_location=artifacts)
    except Exception:
        if client.get_experiment_by_name(name) is None:
            raise
    return client.get_experiment_by_name(name)


def is_deleted(experiment: "Experiment") -> bool:
    """Whether somebody has deleted an experiment, which keeps its name until it is gone for good."""
    return experiment.lifecycle_stage != "active"


def deletion(config: TrackingConfig, experiment: "Experiment") -> str:
    """What a deleted experiment means, and what to do: bringing it back brings its deleted runs back, too."""
    whole = uri_of(config)
    uri = redacted(whole)
    command = f"mlflow experiments restore -x {experiment.experiment_id}"
    command = (
        f"{VARIABLE}='{uri}' {command}" if uri == whole else f"set {VARIABLE} to all of it, and {command}"
    )
    problem = f"tracking.experiment = {config.experiment} was deleted in {uri}"
    return f"{problem}: bring it back ({command}), or record elsewhere with tracking.experiment=NAME"


def revive(client: "MlflowClient", run_id: str) -> bool:
    """Set a run going again; False where it is gone.

    Raises:
        TrackingError: the store does not answer.
    """
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
    """The experiment that a run of a store belongs to; None where there is no such run.

    Raises:
        TrackingError: the store does not answer.
    """
    client = open_store(config, create=False)
    try:
        return str(client.get_experiment(client.get_run(run_id).info.experiment_id).name)
    except Exception as error:  # every store raises its own
        if is_final(error):
            return None
        raise TrackingError(unusable(client.tracking_uri, error)) from None


def is_final(error: Exception) -> bool:
    """Whether no repetition mends what an error tells of: a deleted run, a file that is gone or damaged."""
    is_local = isinstance(error, FileNotFoundError) or type(error) is ValueError
    return is_local or getattr(error, "error_code", None) in FINAL


def unreached(config: TrackingConfig) -> "MlflowClient | None":
    """A client of a server, which is not asked whether it is there; None for sqlite files."""
    from mlflow.tracking import MlflowClient

    uri = uri_of(config)
    return MlflowClient(uri) if uri.startswith(("http://", "https://")) else None


def unusable(uri: str, error: Exception) -> str:
    """A message about a store that failed, whatever its error quotes, and what to do."""
    problem = redacted(f"tracking store {uri} cannot be used ({first_line(error)})")
    return f"{problem}: start it, correct tracking.uri or {VARIABLE}, or run with tracking=none"
