"""A training process that is followed: its reports as they appear, and how it ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.cli import parent_death
from pipeline.config.yaml_reading import PROJECT
from pipeline.tracking import runlog

STOP_SECONDS = 120
"""Seconds that a training has to write its checkpoint, before it is killed."""
POLL_SECONDS = 0.2
"""Seconds between two reads of the file of reports."""
LONGEST_REASON = 300


class Training(threading.Thread):
    """`python -m pipeline.train` on a file of parameters, and arguments beside it.

    The kernel ends it with the thread that started it, so this one lives as long: whichever thread of Ray
    calls, and however Ray's process ends, no training is left behind.

    Args:
        params: configuration, which says nothing about this machine.
        log: what it says is added to this file.
        arguments: what says where this machine reads, writes and records, which no file keeps.
    """

    def __init__(self, params: Path, log: Path, arguments: Sequence[str]) -> None:
        super().__init__(daemon=True, name="training")
        self._log, self._arguments = log, ["--params", str(params), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()
        self._error: OSError | None = None
        self.start()
        self._started.wait()
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        """Start the process and wait for its end."""
        command = [sys.executable, "-m", "pipeline.cli.parent_death", "pipeline.train", *self._arguments]
        environment = os.environ | parent_death.for_children()
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])
        )
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            self._error = error
            return
        finally:
            self._started.set()
        self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """None while it goes on."""
        return None if self._process is None or self.is_alive() else self._process.returncode

    def stop(self) -> None:
        """Have it write a checkpoint and end; after STOP_SECONDS, kill it."""
        if self._process is None or not self.is_alive():
            return
        self._process.send_signal(signal.SIGTERM)
        self.join(STOP_SECONDS)
        if self.is_alive():
            self._process.kill()
            self.join()


class Reports:
    """The reports of a metrics file, each once, also when training begins it anew.

    Args:
        file: metrics.jsonl, which need not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._size, self._last = file, 0, -1.0

    def skip(self, step: int) -> None:
        """Reports up to a step are not of interest."""
        self._last = max(self._last, step)

    def fresh(self) -> list[dict[str, Any]]:
        """Complete reports of later steps than those returned before."""
        try:
            size = self._file.stat().st_size
        except FileNotFoundError:
            return []
        if size == self._size:
            return []
        self._size = size
        records = [record for record in runlog.read(self._file) if record["step"] > self._last]
        if records:
            self._last = records[-1]["step"]
        return records


def reason(code: int, log: Path) -> str:
    """Reason why a training failed, in one line."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    return f"{last[:LONGEST_REASON]} (exit code {code})"


def wait_for(seconds: float, training: Training, reports: Reports) -> list[dict[str, Any]]:
    """Fresh reports, as soon as there are any, training has ended, or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        ended = training.exit_code is not None  # asked first: all reports are there then
        records = reports.fresh()
        if records or ended or time.monotonic() >= deadline:
            return records
        time.sleep(POLL_SECONDS)


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Speed and memory of all reports: median images a second, largest memory in GiB."""
    speeds = sorted(r["images_per_second"] for r in records if r.get("images_per_second"))
    memory = [r["memory_gib"] for r in records if r.get("memory_gib")]
    found = {}
    if speeds:
        found["images_per_second"] = speeds[len(speeds) // 2]
    if memory:
        found["memory_gib"] = max(memory)
    return found
