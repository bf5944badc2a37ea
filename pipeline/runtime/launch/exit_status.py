"""How workers end, and how whoever had them started learns of it.

A launcher's own exit code says no more than whether a worker failed. So the first worker of a machine writes
its exit code to a file, and whoever follows the launcher reads it there.
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
from pipeline.cli.command import EXIT_ERROR, EXIT_HANGUP, EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.cli.console import say
from pipeline.cli.ending import ENDING, TOGETHER_SECONDS, heard

FILE = "GRAM_OUTCOME"
"""Environment variable of workers: the file."""
LINGER_SECONDS = 10
"""How long a launcher whose workers have stopped may wait for other machines."""
LONGEST_MESSAGE = 160
_STOPPED = (EXIT_HANGUP, EXIT_INTERRUPTED, EXIT_REQUEUE)


def is_worker() -> bool:
    """Whether a launcher (accelerate launch, torchrun) started this process."""
    return all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))


def as_worker(program: Callable[[], int]) -> int:
    """Run the program of a process that may be a worker; returns what the process should exit with.

    A worker ends with its launcher. For a launcher that is followed, a worker that stopped as it was asked to
    has done its work: were it to see another exit code than 0, it would start all of them again.
    """
    if not is_worker():
        return program()
    parent_death.hold()
    if FILE not in os.environ:
        return program()
    file = Path(os.environ[FILE]) if os.environ["LOCAL_RANK"] == "0" else None
    if file:
        file.unlink(missing_ok=True)  # of workers before a restart
    code = _run(program)
    if file:
        write_file(file, str(code).encode())
    return 0 if code in _STOPPED else code


def _run(program: Callable[[], int]) -> int:
    """Its exit code. That another process is gone is no defect of this one, and told in one line."""
    try:
        return program()
    except RuntimeError as error:  # each of torch's backends has another class for it
        if "torch/distributed/" not in traceback.extract_tb(error.__traceback__)[-1].filename:
            raise
        problem = str(error).partition("\n")[0][:LONGEST_MESSAGE]
        say(f"process {os.environ['RANK']}: lost another process, whose own message says why ({problem})")
        return EXIT_ERROR


def follow(launcher: subprocess.Popen[bytes], file: Path) -> int:
    """Wait for a launcher, passing requests to stop on to it; returns the workers' exit code.

    Args:
        launcher: in a session of its own, or Ctrl-C reaches it twice.
        file: what workers were given as FILE.

    Returns:
        0 only if all is done. Where workers left no code: 128 + the signal, or the launcher's code.
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
        return 128 + passed[0]
    return code or (ended if ended > 0 else 128 - ended)


def _wait(launcher: subprocess.Popen[bytes], file: Path) -> int:
    """Wait for the launcher; once its workers have stopped as asked, for LINGER_SECONDS at most.

    It waits minutes for launchers of other machines, which a signal may have ended before.
    """
    while _read(file) not in _STOPPED:
        try:
            return launcher.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass
    try:
        return launcher.wait(timeout=LINGER_SECONDS)
    except subprocess.TimeoutExpired:
        launcher.kill()  # it does not hear signals while it waits
        return launcher.wait()


def _read(file: Path) -> int | None:
    return int(file.read_text(encoding="utf-8")) if file.exists() else None


@contextmanager
def _passing_signals_on(launcher: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """While entered, requests to stop go to the launcher, which passes them on to its workers."""
    passed: list[int] = []
    latest = -math.inf

    def pass_on(number: int, frame: object) -> None:
        nonlocal latest
        if time.monotonic() - latest < TOGETHER_SECONDS:
            return
        latest = time.monotonic()
        passed.append(number)
        # Accelerate's launcher knows no SIGUSR1; for training, both mean the same.
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
