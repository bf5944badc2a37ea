"""Processes that hold on to their parent end with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from pipeline.cli import parent_death
from pipeline.config.yaml_reading import PROJECT

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has such a line")

WAIT = "import time; time.sleep(60)"
HOLD = f"from pipeline.cli.parent_death import hold; assert hold(); print('held', flush=True); {WAIT}"
CHAIN = """
import os, subprocess, sys
from pipeline.cli import parent_death
parent_death.hold()
environment = {**os.environ, **parent_death.for_children()}
subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=environment, start_new_session=True).wait()
"""


@contextmanager
def started(*arguments: str, says: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that has said what it says; killed at the end."""
    command = [sys.executable, "-c", *arguments]
    environment = {**os.environ, **variables}
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == says
            yield process
        finally:
            process.kill()


def within_seconds(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_in_a_session_of_its_own_ends_with_its_parent(number: signal.Signals) -> None:
    with started(CHAIN, HOLD, says="held\n") as parent:
        (child,) = psutil.Process(parent.pid).children()
        parent.send_signal(number)
        assert within_seconds(5, lambda: gone(child))


def test_the_whole_chain_ends_with_its_first() -> None:
    middle = f"import sys; sys.argv[1:] = [{HOLD!r}]\n{CHAIN}"
    with started(CHAIN, middle, says="held\n") as first:
        below = psutil.Process(first.pid).children(recursive=True)
        assert len(below) == 2
        first.kill()
        assert within_seconds(5, lambda: all(gone(process) for process in below))


def test_a_child_that_holds_too_late_ends_at_once() -> None:
    nobody = str(2**22 + 1)  # beyond the largest number of a process
    with started(HOLD, says="", **{parent_death.PARENT: nobody}) as orphan:
        assert orphan.wait() == 128 + signal.SIGKILL


def test_who_does_not_hold_stays() -> None:
    with started(CHAIN, f"print('there', flush=True); {WAIT}", says="there\n") as parent:
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
        parent.wait()
        time.sleep(0.2)
        assert not gone(child)
        child.kill()


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not parent_death.hold()
