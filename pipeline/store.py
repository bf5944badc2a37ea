"""Where MLflow keeps runs: one absolute place, whatever directory a stage is started in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import PROJECT
from pipeline.schema import TrackingConfig

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"


class TrackingError(ValueError):
    """Runs cannot be recorded where the configuration says."""


def default_uri() -> str:
    """MLFLOW_TRACKING_URI, or mlflow.db in the project (absolute, wherever the stage was started)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{PROJECT / 'mlflow.db'}"


def database(uri: str) -> Path | None:
    """The file of a sqlite store; None for servers."""
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def open_store(config: TrackingConfig, *, create: bool = True) -> "MlflowClient":
    """A client of a store in which database and experiment exist.

    Args:
        config: where to record.
        create: make the experiment where the store has none.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise TrackingError("MLflow is not installed: install it or run with tracking=none") from None
    uri = config.uri or default_uri()
    try:
        with _one_at_a_time(uri):
            client = MlflowClient(uri)
            if client.get_experiment_by_name(config.experiment) is None and create:
                client.create_experiment(config.experiment, artifact_location=_artifacts_beside(uri))
    except Exception as error:
        remedy = "start it, correct MLFLOW_TRACKING_URI, or run with tracking=none"
        problem = f"tracking store {uri} cannot be used ({first_line(error)})"
        raise TrackingError(f"{problem}: {remedy}") from error
    return client


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Processes that create the same sqlite store at once make each other fail."""
    file = database(uri)
    if file is None:
        yield
        return
    with file.with_name(f"{file.name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _artifacts_beside(uri: str) -> str | None:
    """Artifacts of a sqlite store lie beside it; a server decides for itself."""
    file = database(uri)
    return None if file is None else (file.resolve().parent / "mlruns").as_uri()


def revive(client: "MlflowClient", run_id: str) -> bool:
    """Set a run going again; False where it is gone."""
    try:
        if client.get_run(run_id).info.lifecycle_stage != "active":
            return False
        client.update_run(run_id, status="RUNNING")
    except Exception:  # every store raises its own
        return False
    return True


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
