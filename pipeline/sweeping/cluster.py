"""The machines of a sweep: this one alone, or those of a Ray cluster."""

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.config import PROJECT

PROBE_SECONDS = 5.0
OBJECT_STORE_BYTES = 80 * 2**20
"""Trials send numbers, no tensors."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
}


class ClusterError(ValueError):
    """Machines that cannot be used; the message says which and what to do."""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray, while entered; what was started for this process alone ends with it.

    Raises:
        ClusterError: Ray is not installed, or nothing answers at the address.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    if address is None:  # the switch by which Ray keeps to 127.0.0.1; it ignores that address as an argument
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    try:
        import ray
    except ImportError:
        raise ClusterError("Ray is not installed: pip install -c requirements.lock -e '.[sweep]'") from None
    folder = None
    try:
        if address is None:
            folder = tempfile.mkdtemp(prefix="gram-ray-")
            ray.init(
                num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False,
                logging_level=logging.ERROR, _temp_dir=folder,
                object_store_memory=OBJECT_STORE_BYTES,
            )  # fmt: skip
        else:
            _join(address)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _join(address: str) -> None:
    import ray

    if address != "auto":
        _probe(address)
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
        )  # fmt: skip
    except ConnectionError as error:
        raise ClusterError(
            f"ray.address = {address}: no cluster runs here ({str(error).splitlines()[0]}): start one with "
            "ray start --head, or give its HOST:PORT"
        ) from error


def _probe(address: str) -> None:
    """Ask the port itself, in seconds: Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise ClusterError(f"ray.address = {address}: it takes auto, or HOST:PORT as ray start --head says")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"ray.address = {address}: nothing answers there ({error.strerror or error}): is the cluster up, "
            "and its port reachable from here?"
        ) from error


def gpus_there() -> float:
    """GPUs of all machines."""
    import ray

    return float(ray.cluster_resources().get("GPU", 0.0))


def require_room(cpus: float, gpus: float) -> None:
    """Refuse trials that fit on no machine.

    Raises:
        ClusterError: naming what the largest machine has.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(has.get("CPU", 0) >= cpus and has.get("GPU", 0) >= gpus for has in machines):
        return
    most = max(has.get("CPU", 0) for has in machines), max(has.get("GPU", 0) for has in machines)
    raise ClusterError(
        f"a trial asks for {cpus:g} CPUs and {gpus:g} GPUs, but no machine has more than {most[0]:g} and "
        f"{most[1]:g}: set sweep.cpus and sweep.gpus"
    )
