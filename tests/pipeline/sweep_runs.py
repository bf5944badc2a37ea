"""Small sweeps for tests, as processes of their own, and Ray clusters of several machines on this one."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from training_runs import killed_at_the_end

from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep.trials import Trial, read_trials
from pipeline.tracking import runlog

HIDE = 'mount -t tmpfs none "$0" && exec "$@"'
"""Shell: run a command that sees a folder as an empty one of its own; needs a mount namespace."""
PATIENCE = 400
"""Seconds until a sweep counts as stuck."""


def write_sweep(folder: Path, text: str, name: str = "small") -> Path:
    """A file of conf/sweep's form."""
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


def command(file: Path, data: list[str], *more: str) -> list[str]:
    places = [f"sweep={file}", f"sweep.folder={file.parent}/sweeps", "tracking=none"]
    return [sys.executable, "-m", "pipeline.sweep", *places, *data, *more]


@contextmanager
def started(
    file: Path, data: list[str], *more: str, variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A sweep, which a failing test does not leave behind."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(variables or {})}
    process = subprocess.Popen(
        command(file, data, *more), cwd=PROJECT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with killed_at_the_end(process):
        yield process


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and all that it said."""
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def run(
    file: Path, data: list[str], *more: str, variables: Mapping[str, str] | None = None
) -> tuple[int, str]:
    with started(file, data, *more, variables=variables) as process:
        return end(process)


def trials(file: Path) -> dict[str, Trial]:
    return {trial.name: trial for trial in read_trials(file.parent / "sweeps" / file.stem)}


def folder_of(file: Path, name: str) -> Path:
    return file.parent / "sweeps" / file.stem / "trials" / name


def reports(file: Path, name: str) -> list[dict[str, float]]:
    return list(runlog.read(folder_of(file, name) / "train/metrics.jsonl"))


def steps(file: Path, name: str) -> list[float]:
    return [record["step"] for record in reports(file, name)]


def wait_for_step(file: Path, name: str, step: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not any(done >= step for done in steps(file, name)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{name} did not get to step {step}"
        time.sleep(0.05)


def newest_checkpoint(file: Path, name: str) -> int:
    """A trial's last complete checkpoint, which comes a moment after its step is reported."""
    found = (folder_of(file, name) / "checkpoints").glob("*/step-????????")
    return max(int(path.name.removeprefix("step-")) for path in found)


def left_behind(mark: str) -> list[str]:
    """Processes whose command line or environment names `mark`, this one and its parents apart."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid in own or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if mark in " ".join(process.cmdline()) or mark in " ".join(process.environ().values()):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def require_nothing_left(mark: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while (left := left_behind(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left, "\n".join(left)


class Cluster:
    """Raylets on this machine, each a process group of its own, on loopback.

    Args:
        folder: of Ray's files; a short path, for it holds sockets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = ""
        self.variables = {
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32), "GRAM_TEST_CLUSTER": str(folder),
        }  # fmt: skip
        self._machines: list[subprocess.Popen[bytes]] = []

    def add(self, cpus: int, *, lacks: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a machine; the first one is the head.

        Args:
            cpus: that it has.
            lacks: a folder that it sees as an empty one of its own.
        """
        words = ["--num-cpus", str(cpus), "--block", "--object-store-memory", str(80 * 2**20)]
        own = f"127.0.0.{2 + len(self._machines)}"
        words += ["--node-ip-address", own]
        if not self._machines:
            self.address = f"{own}:{_free_port()}"
            port = self.address.partition(":")[2]
            words += [
                "--head",
                "--include-dashboard",
                "false",
                "--port",
                port,
                "--temp-dir",
                str(self._folder),
            ]
        else:
            words += ["--address", self.address]
        file = self._folder / f"machine-{len(self._machines)}.log"
        entry = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
        apart = [] if lacks is None else ["unshare", "--mount", "sh", "-c", HIDE, str(lacks)]
        with file.open("wb") as log:
            machine = subprocess.Popen(
                [*apart, sys.executable, "-c", entry, "start", *words], env={**os.environ, **self.variables},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._machines.append(machine)
        deadline = time.monotonic() + PATIENCE
        while "Ray runtime started" not in (said := file.read_text()):
            assert machine.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.1)
        return machine

    def kill(self, machine: subprocess.Popen[bytes]) -> None:
        """Kill a machine at once, all that Ray runs on it included, as a failure of its power would."""
        raylet = [p for p in psutil.Process(machine.pid).children(recursive=True) if p.name() == "raylet"]
        for process in raylet:
            process.kill()
        os.killpg(machine.pid, signal.SIGKILL)
        machine.wait()

    def end(self) -> None:
        for machine in reversed(self._machines):
            if machine.poll() is None:
                machine.terminate()
        for machine in reversed(self._machines):
            try:
                machine.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill(machine)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.end()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets; it goes when the iterator goes on."""
    folder = Path(tempfile.mkdtemp(prefix="gram-test-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def continuations(name: str, file: Path) -> list[str]:
    """Lines that a trial's log holds about going on."""
    return [
        line for line in (folder_of(file, name) / "train.log").read_text().splitlines() if "going on" in line
    ]
