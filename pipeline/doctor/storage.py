"""Checks of disks and of the store of runs."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import torch

from gram.training.state import TrainingState
from pipeline.config.places import lasting
from pipeline.config.schema import Config
from pipeline.doctor.findings import Caution, Fact, Finding, Problem
from pipeline.runtime import build, scene
from pipeline.runtime.hardware import amount
from pipeline.tracking.mlflow import database, store

CONNECT_SECONDS = 5.0


def disks(config: Config) -> Iterator[Finding]:
    """Free space and write access for checkpoints, runs, data and the store."""
    places = {
        "paths.checkpoints": lasting(config.paths.checkpoints),
        "paths.train": Path(config.paths.train),
        "paths.train_data": Path(config.paths.train_data),
    }
    if config.tracking.kind == "mlflow" and (file := database.file_of(_uri(config))) is not None:
        places["tracking.uri"] = file.parent
    for option, path in places.items():
        place = _existing(path)
        yield Fact(option, f"{amount(shutil.disk_usage(place).free)} free for {path.absolute()}")
        if problem := _unusable(place):
            another = "sqlite:////FOLDER/mlflow.db" if option == "tracking.uri" else "FOLDER"
            yield Problem(f"{place} {problem}", f"choose another place: {option}={another}")
    yield from _checkpoints(config, lasting(config.paths.checkpoints))


def checkpoint_bytes(state: TrainingState) -> int:
    """Bytes of a checkpoint, from an initial state, to which Adam's two moments are added."""
    weights = [*state.generator.parameters(), *state.discriminator.parameters()]
    return sum(t.nbytes for t in state.tensors().values()) + 2 * sum(w.nbytes for w in weights)


def _checkpoints(config: Config, folder: Path) -> Iterator[Finding]:
    train = config.train
    one = checkpoint_bytes(build.training_state(config, scene.planned_meta(config.data), torch.device("cpu")))
    kept = train.keep_checkpoints + (train.steps // train.keep_every if train.keep_every else 0)
    needed = (kept + 1) * one  # a new one is written before the oldest is removed
    free = shutil.disk_usage(_existing(folder)).free
    yield Fact("to be kept", f"{kept} checkpoints of {amount(one)}, and one more while it is written")
    if free < needed:
        yield Problem(
            f"checkpoints will take {amount(needed)}, and {amount(free)} are free",
            "free space, lower train.keep_checkpoints or raise train.keep_every, or set paths.checkpoints",
        )
    elif free < 2 * needed:
        yield Caution(f"checkpoints will take {amount(needed)} of the {amount(free)} that are free")


def _existing(path: Path) -> Path:
    """Folder itself, or its nearest existing ancestor."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _unusable(folder: Path) -> str | None:
    """Error of writing in a folder, or None."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"cannot be written ({error.strerror})"


def tracking(config: Config) -> Iterator[Finding]:
    """Access to the configured store of runs."""
    if config.tracking.kind == "none":
        yield Fact("runs", "are not recorded (tracking=none); metrics.jsonl holds all numbers")
        return
    uri = _uri(config)
    yield Fact("store", uri)
    file = database.file_of(uri)
    if file is not None and config.train.launch.machines > 1:
        yield Caution(
            "only machine 0 writes this file, other machines cannot show the runs, and a network drive\n"
            "damages it: to share runs, start mlflow server, and set tracking.uri=http://HOST:PORT"
        )
    if file is not None and not file.exists():
        yield Fact("runs", "none yet: training creates the file")
        return
    _connect(uri)
    client = store.open_store(config.tracking, create=False)
    if file is not None and (places := database.misplaced(file)):
        yield Caution(f"the store was moved or copied from {places[0]}: artifacts follow with the next run")
    experiment = client.get_experiment_by_name(config.tracking.experiment)
    if experiment is None:
        yield Fact("runs", f"none yet of experiment {config.tracking.experiment}")
        return
    if store.is_deleted(experiment):
        yield Problem(store.deletion(config.tracking, experiment))
        return
    runs = client.search_runs([experiment.experiment_id], max_results=1)
    newest = f"; the newest is {runs[0].info.run_name}, {runs[0].info.status}" if runs else ""
    yield Fact("reachable", f"experiment {config.tracking.experiment}{newest}")


def _uri(config: Config) -> str:
    return store.uri_of(config.tracking)


def _connect(uri: str) -> None:
    """Refuse an absent server at once, for which MLflow would retry for minutes."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise store.TrackingError(
            f"no tracking server answers at {parts.hostname}:{port} ({error}): start it, correct "
            "tracking.uri or MLFLOW_TRACKING_URI, or run with tracking=none"
        ) from error
