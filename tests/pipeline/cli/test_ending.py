"""A signal ends a command in one line, with 128 + its number, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from machines import all_gone

from pipeline.cli import ending
from pipeline.cli.command import main
from pipeline.cli.stage import Stage
from pipeline.config.schema import Config
from pipeline.config.yaml_reading import PROJECT

STAGE = Stage(name="prepare", summary="", groups=(), examples=())
COMMANDS = ["doctor", "evaluate", "export", "noise", "pack", "plan", "prepare", "report", "summary", "sweep"]
COMMANDS += ["train", "ui"]


def begin(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=PROJECT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def has(what: str, process: int, number: signal.Signals) -> bool:
    """Whether a process catches (SigCgt) or ignores (SigIgn) a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(rf"{what}:\s+(\w+)", status)
    return bool(found and int(found[1], 16) >> (number - 1) & 1)


def loads_torch(process: subprocess.Popen[str]) -> bool:
    return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_in_one_line_from_its_first_moment(command: str) -> None:
    with begin(f"pipeline.{command}") as process:
        wait_until(lambda: has("SigCgt", process.pid, signal.SIGTERM), process)
        process.terminate()
        assert process.communicate(timeout=60) == ("", f"{command}: stopped by SIGTERM\n")
    assert process.returncode == 128 + signal.SIGTERM


def test_ctrl_c_while_torch_is_imported_is_one_line() -> None:
    with begin("pipeline.train") as process:
        wait_until(lambda: loads_torch(process), process)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "train: stopped by SIGINT\n")
    assert process.returncode == 128 + signal.SIGINT


def parts(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Processes that do a part of its work, and have begun."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            if "--multiprocessing-fork" in one.cmdline() and has("SigIgn", one.pid, signal.SIGINT):
                found.append(one)
    return found


@pytest.mark.parametrize(
    ("command", "count", "number"),
    [
        ("prepare", 2, signal.SIGINT),
        ("prepare", 2, signal.SIGTERM),
        ("prepare", 2, signal.SIGKILL),
        ("plan", 1, signal.SIGINT),
    ],
)
def test_a_command_takes_the_processes_along_that_work_for_it(
    command: str, count: int, number: signal.Signals, tmp_path: Path
) -> None:
    """While they import torch, too, and also when the whole group is told, as a terminal does."""
    places = [f"paths.train_data='{tmp_path}/train'", f"paths.test_data='{tmp_path}/test'"]
    with begin(f"pipeline.{command}", "data.processes=2", *places) as process:
        wait_until(lambda: len(parts(process)) == count, process)
        workers = parts(process)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        _, messages = process.communicate(timeout=60)
        assert all_gone(workers)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert messages.splitlines()[-1] == f"{command}: stopped by {number.name}"
        assert "Traceback" not in messages
        assert process.returncode == 128 + number


@pytest.mark.parametrize("number", ending.ENDING)
def test_a_stage_at_work_tidies_up_first(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = tmp_path / "half"
    before = signal.getsignal(number)

    def work(config: Config) -> int:
        half.touch()
        try:
            signal.raise_signal(number)
            return 0
        finally:
            signal.raise_signal(number)  # together with the first
            half.unlink()

    assert main(STAGE, work, []) == 128 + number
    assert capsys.readouterr().err == f"prepare: stopped by {number.name}\n"
    assert not half.exists()
    assert signal.getsignal(number) == before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main(STAGE, lambda config: signal.raise_signal(signal.SIGINT), []) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_later_signal_ends_a_command_whose_tidying_up_hangs() -> None:
    program = (
        "import signal, time\n"
        "from pipeline.cli import ending\n"
        "ending.TOGETHER_SECONDS = 0.1\n"
        "def work():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    finally:\n"
        "        time.sleep(0.2)\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        time.sleep(60)\n"
        "ending.stoppable('prepare', work)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "prepare: stopped by SIGINT\n")


def test_outside_of_the_main_thread_work_is_done_without_handlers() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(ending.stoppable("prepare", lambda: 5)))
    thread.start()
    thread.join()
    assert codes == [5]
