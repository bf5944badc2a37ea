"""The machines of a sweep: this one alone, or those of a Ray cluster."""

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pipeline.cli.console import say
from pipeline.cli.ending import Stopped
from pipeline.config.redaction import first_line
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep.tune.cluster import local
from pipeline.sweep.tune.cluster.ray_folder import ClusterError

__all__ = ["ClusterError", "connected", "gpus_there", "require_room", "require_there"]

PROBE_SECONDS = 5.0
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
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""First bytes of a client of HTTP/2, the protocol of Ray: the preface, and a frame of no settings."""
_SETTINGS = 4
"""Type of the frame by which the server answers, its fourth byte."""
_ASK = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray, while entered; what was started for this process alone ends with it.

    Raises:
        ClusterError: Ray is not installed, or nothing answers at the address.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    if address is None:
        _keep_to_loopback()
    try:
        import ray  # reads the environment
    except ImportError:
        raise ClusterError("Ray is not installed: pip install -c requirements.lock -e '.[sweep]'") from None
    with ExitStack() as ending:
        if address is None:
            started = ending.enter_context(local.running())
            ending.callback(ray.shutdown)
            _join(started)
        else:
            ending.callback(ray.shutdown)
            _join(address, runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}})
        for name in ("ray.tune", "ray"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield


def _keep_to_loopback() -> None:
    """Have a cluster of this process alone listen on 127.0.0.1, and require a random token."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray ignores that address as an argument
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if there := os.environ.pop("RAY_ADDRESS", None):
        say(f"sweep: RAY_ADDRESS = {there} is left aside: this machine alone; ray.address=auto uses it")


def _join(address: str, **options: Any) -> None:
    """Connect; SIGTERM, for which Ray installs a handler of its own, ends this process as before."""
    import ray

    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except SystemExit:
        raise Stopped(signal.SIGTERM) from None  # by that handler
    except (ConnectionError, RuntimeError) as error:
        raise ClusterError(
            f"ray.address = {address}: the cluster there cannot be joined ({first_line(error)}): it takes "
            "the same version of Ray, and the token of the cluster in RAY_AUTH_TOKEN"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def require_there(address: str | None) -> None:
    """Refuse an address at which no cluster is, within seconds: Ray itself would try for minutes.

    Raises:
        ClusterError: naming the address and what is there.
    """
    if address is None:
        return
    found = _found() if address == "auto" else address
    host, colon, port = found.rpartition(":")
    if not colon or not host or "/" in host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ClusterError(f"ray.address = {address}: it takes auto, or HOST:PORT as ray start --head says")
    shown = address if found == address else f"{address}, {found}"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS) as probe:
            answers = _speaks_http2(probe)
    except (OSError, UnicodeError) as error:
        raise ClusterError(
            f"ray.address = {shown}: nothing answers there ({getattr(error, 'strerror', None) or error}): is "
            "the cluster up, and its port reachable from here?"
        ) from error
    if not answers or (address != "auto" and not _is_head(found)):
        raise ClusterError(
            f"ray.address = {shown}: what answers there is no Ray cluster: give the HOST:PORT that "
            "ray start --head says, not that of its dashboard or client"
        )


def _found() -> str:
    """The cluster of this machine.

    Raises:
        ClusterError: there is none.
    """
    try:
        from ray._private.services import canonicalize_bootstrap_address

        return str(canonicalize_bootstrap_address("auto"))
    except ImportError:
        raise ClusterError("Ray is not installed: pip install -c requirements.lock -e '.[sweep]'") from None
    except ConnectionError as error:
        raise ClusterError(
            f"ray.address = auto: no cluster runs here ({first_line(error)}): start one with "
            "ray start --head, or give its HOST:PORT"
        ) from error


def _speaks_http2(probe: socket.socket) -> bool:
    """True where the other end answers as a server of HTTP/2, or uses TLS."""
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    try:
        probe.sendall(_GREETING)
        frame = probe.recv(9)
    except OSError:
        return False
    return len(frame) > 3 and frame[3] == _SETTINGS


def _is_head(address: str) -> bool:
    """True where Ray's own client, in a process of its own, finds a cluster's head: it cannot be stopped."""
    try:
        subprocess.run(
            [sys.executable, "-c", _ASK, address], timeout=2 * PROBE_SECONDS, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return True


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
