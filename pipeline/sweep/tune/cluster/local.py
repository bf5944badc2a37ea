"""A Ray cluster of this machine alone, kept by a process that ends it with the sweep, however that ends.

    python -m pipeline.sweep                      started by the user
      python -m pipeline.sweep.tune.cluster.local   the keeper, which leads a session of its own
        Ray's processes, and the trainings below them

A signal to the group of the sweep, as supervisors and terminals send it, does not reach Ray: trials are
stopped by the sweep itself. Once the sweep is gone, killed with SIGKILL included, the keeper kills what is
below it, orphans too, and removes Ray's temporary folder.
"""

import ctypes
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from gram.system.documents import one_line
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep.tune.cluster import ray_folder
from pipeline.sweep.tune.cluster.ray_folder import ClusterError

OBJECT_STORE_BYTES = 80 * 2**20
"""Trials send numbers, no tensors."""
START_SECONDS = 180.0
END_SECONDS = 20.0
CHECK_SECONDS = 0.5
"""Seconds between checks that the sweep is still alive."""
_PR_SET_CHILD_SUBREAPER = 36


@contextmanager
def running() -> Iterator[str]:
    """Start the cluster and end it; yields its address.

    Raises:
        ClusterError: Ray cannot be started here.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-m", "pipeline.sweep.tune.cluster.local"], cwd=PROJECT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert keeper.stdin is not None and keeper.stdout is not None, "both are pipes"
    try:
        yield _address(keeper.stdout)
    finally:
        keeper.stdin.close()
        keeper.stdout.close()
        try:
            keeper.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()


def _address(said: IO[bytes]) -> str:
    """The keeper's first line."""
    ready, _, _ = select.select([said], [], [], START_SECONDS)
    line = said.readline() if ready else b""
    if not line:
        state = "ended" if ready else f"did not answer within {START_SECONDS:.0f} s"
        raise ClusterError(f"Ray {state} while it started on this machine: is there memory left (free -h)?")
    answer = json.loads(line)
    if "error" in answer:
        raise ClusterError(answer["error"])
    return str(answer["address"])


def keep() -> None:
    """Start Ray, tell its address on stdout, and end it when whoever started this process is gone."""
    output = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # Ray writes there, too
    _adopt_orphans()
    kept = ExitStack()
    try:
        folder = kept.enter_context(ray_folder.made())
    except ClusterError as error:
        _tell(output, error=str(error))
        return
    watch = threading.Thread(target=_end_with, args=(os.getppid(), kept), name="watch")
    watch.start()
    try:
        _tell(output, address=_start(folder))
    except Exception as error:  # Ray's errors have no class in common
        words = one_line(error)
        _tell(output, error=f"Ray does not start on this machine: {words[:300]}")
    watch.join()


def _start(folder: Path) -> str:
    import ray

    ray.init(
        num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR, _temp_dir=str(folder), object_store_memory=OBJECT_STORE_BYTES,
    )  # fmt: skip
    return str(ray.get_runtime_context().gcs_address)


def _tell(to: IO[str], **what: str) -> None:
    with suppress(BrokenPipeError):  # nobody listens any more: the watch ends us
        to.write(json.dumps(what) + "\n")
        to.flush()


def _adopt_orphans() -> None:
    """Become the parent of all below whose own one ends, so that none is lost from sight."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_with(parent: int, kept: ExitStack) -> None:
    """Wait until the parent closes our stdin or is gone; then end everything, this process included.

    Args:
        parent: its number.
        kept: Ray's temporary folder.
    """
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], CHECK_SECONDS)
        if ready and not os.read(0, 1):
            break
    _kill_descendants()
    kept.close()
    os._exit(0)  # the main thread may be inside of Ray


def _kill_descendants() -> None:
    """Kill all processes below this one, and those that they start meanwhile."""
    deadline = time.monotonic() + END_SECONDS / 2
    while (below := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        for process in below:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(below, timeout=1.0)


if __name__ == "__main__":
    keep()
