"""Exit codes of workers, passed through a file.

A launcher's exit code only says if a worker failed. The first worker of a machine therefore writes its exit
code to a file, which the process that follows the launcher reads.
"""

import math
import os
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gram.system.folders import write_file
from pipeline.cli import parent_death
from pipeline.cli.console import say
from pipeline.cli.ending import ENDING, TOGETHER_SECONDS, heard
from pipeline.cli.exit_codes import EXIT_ERROR, STOPPED, killed_by

FILE = "GRAM_OUTCOME"
"""Environment variable of workers with the path of the file."""
LINGER_SECONDS = 10
"""Seconds that a launcher whose workers have stopped may wait for other machines."""
LONGEST_MESSAGE = 160
_STOPPED = frozenset(STOPPED.values())


def is_worker() -> bool:
    """True if a launcher (accelerate launch, torchrun) started this process."""
    return all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))


def as_worker(program: Callable[[], int]) -> int:
    """Run the program of a process that may be a worker, and return the exit code of the process.

    A worker ends with its launcher. A worker that stopped on request returns 0 to a launcher that is
    followed, which would restart all workers for any other code.
    """
    if not is_worker():
        return program()
    parent_death.hold()
    if FILE not in os.environ:
        return program()
    file = Path(os.environ[FILE]) if os.environ["LOCAL_RANK"] == "0" else None
    if file:
        file.unlink(missing_ok=True)  # from before a restart
    code = _run(program)
    if file:
        write_file(file, str(code).encode())
    return 0 if code in _STOPPED else code


def report_failure(rank: int, code: int) -> None:
    """Print how the process that failed first ended; a negative code is that of a signal."""
    end = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    say(f"launch: process {rank} {end}; the others were ended")


def _run(program: Callable[[], int]) -> int:
    """Run the program and return its exit code; the loss of another process is reported in one line."""
    try:
        return program()
    except RuntimeError as error:  # each of torch's backends has another class for it
        if "torch/distributed/" not in traceback.extract_tb(error.__traceback__)[-1].filename:
            raise
        problem = str(error).partition("\n")[0][:LONGEST_MESSAGE]
        say(f"process {os.environ['RANK']}: lost another process, see its own message ({problem})")
        return EXIT_ERROR


def follow(launcher: subprocess.Popen[bytes], file: Path) -> int:
    """Wait for a launcher in its own session, forward requests to stop, and return the workers' exit code.

    It is 0 only if all is done. If workers left none in `file`: 128 + the signal, or the launcher's code.
    """
    try:
        with _passing_signals_on(launcher) as passed:
            ended = _wait(launcher, file)
    finally:
        if launcher.poll() is None:
            launcher.kill()
            launcher.wait()
    code = _read(file)
    if ended == 0 or code in _STOPPED or (passed and code == 0):
        return code or 0
    if passed:
        return killed_by(passed[0])
    return code or (ended if ended > 0 else killed_by(-ended))


def _wait(launcher: subprocess.Popen[bytes], file: Path) -> int:
    """Wait for the launcher; at most LINGER_SECONDS once its workers have stopped on request.

    It would wait minutes for launchers of other machines, which a signal may have ended before.
    """
    while _read(file) not in _STOPPED:
        try:
            return launcher.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass
    try:
        return launcher.wait(timeout=LINGER_SECONDS)
    except subprocess.TimeoutExpired:
        launcher.kill()  # it handles no signals while it waits
        return launcher.wait()


def _read(file: Path) -> int | None:
    return int(file.read_text(encoding="utf-8")) if file.exists() else None


@contextmanager
def _passing_signals_on(launcher: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Context that forwards requests to stop to the launcher, which forwards them to its workers."""
    passed: list[int] = []
    latest = -math.inf

    def pass_on(number: int, frame: object) -> None:
        nonlocal latest
        if time.monotonic() - latest < TOGETHER_SECONDS:
            return
        latest = time.monotonic()
        passed.append(number)
        # Accelerate's launcher does not handle SIGUSR1; both mean the same for training.
        launcher.send_signal(signal.SIGTERM if number == signal.SIGUSR1 else number)

    if threading.current_thread() is not threading.main_thread():
        yield passed  # signals reach the main thread alone
        return
    before = {number: signal.signal(number, pass_on) for number in heard(ENDING)}
    try:
        yield passed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
