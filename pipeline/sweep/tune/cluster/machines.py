"""Folders, data and program that the machines of a cluster must share, checked before anything starts."""

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.schema import TrackingConfig
from pipeline.sweep.tune.cluster.connection import ClusterError
from pipeline.tracking.fingerprint import program_hash
from pipeline.tracking.mlflow.database import file_of
from pipeline.tracking.mlflow.store import uri_of

ASK_SECONDS = 120.0
_TOKEN = ".shared"


def addresses() -> list[str]:
    """Addresses of all live machines."""
    import ray

    return [node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]


def require_alike(folder: Path, data: Sequence[str]) -> None:
    """Refuse machines that do not see the sweep's folder or the data, or have another version of the program.

    Args:
        folder: of the sweep; a word is written here and read on every machine.
        data: folders of data sets.

    Raises:
        ClusterError: naming the machine.
    """
    word = uuid.uuid4().hex
    token = folder / _TOKEN
    token.write_text(word, encoding="utf-8")
    try:
        answers = _ask_all(_look, str(token), list(data))
    finally:
        token.unlink()
    for address, answer in answers:
        if answer["word"] != word:
            raise ClusterError(
                f"machine {address} does not see {folder}: set sweep.folder to one that all share (NFS)"
            )
        for path in answer["missing"]:
            raise ClusterError(
                f"machine {address} does not see {path}: put the data where all find it, or remove it, "
                "and the sweep prepares it in sweep.folder"
            )
        if answer["program"] != program_hash():
            raise ClusterError(f"machine {address} has another version of gram: install the same everywhere")


def require_server(tracking: TrackingConfig) -> None:
    """Refuse a sqlite store where several machines would write to it.

    Raises:
        ClusterError: naming the store.
    """
    uri = uri_of(tracking)
    if tracking.kind == "mlflow" and file_of(uri) is not None and len(addresses()) > 1:
        raise ClusterError(
            f"tracking.uri = {uri} is a file, and several machines cannot write to one sqlite file: start "
            "mlflow server where all of them reach it and set tracking.uri=http://HOST:PORT, or tracking=none"
        )


def _look(token: str, data: list[str]) -> dict[str, Any]:
    """Content of the token, missing data and version of the program on a machine."""
    try:
        word = Path(token).read_text(encoding="utf-8")
    except OSError:
        word = None
    return {
        "word": word,
        "missing": [path for path in data if not os.path.isdir(path)],
        "program": program_hash(),
    }


def _ask_all(question: Callable[..., dict[str, Any]], *arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    """(address, answer) of all machines.

    Raises:
        ClusterError: one does not answer, or has not what the question needs.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(question)
    answers = []
    for node in [node for node in ray.nodes() if node["Alive"]]:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": there, "max_retries": 0}
        answers.append((node["NodeManagerAddress"], remote.options(**options).remote(*arguments)))
    found = []
    for address, answer in answers:
        try:
            found.append((address, ray.get(answer, timeout=ASK_SECONDS)))
        except Exception as error:  # whatever is wrong there reaches us as one of many classes
            what = (str(error).strip() or type(error).__name__).splitlines()[-1]
            remedy = "install the project there, the same version"
            raise ClusterError(f"machine {address} cannot run trials ({what}): {remedy}") from error
    return found
