"""What comes back from workers through their launcher."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.cli.exit_codes import EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime.launch import exit_status

WORKER = """
import sys
from pipeline.runtime.launch import exit_status as outcome
sys.exit(outcome.as_worker(lambda: int(sys.argv[1])))
"""


def follow(script: str, file: Path) -> int:
    """Follow a shell script as if it were a launcher."""
    return exit_status.follow(subprocess.Popen(["sh", "-c", script], start_new_session=True), file)


@contextmanager
def signals_sent(*numbers: signal.Signals, ready: Path) -> Iterator[None]:
    """Signals to this process while it follows, from the moment when `ready` is there."""
    before = signal.getsignal(signal.SIGTERM)

    def send() -> None:
        deadline = time.monotonic() + 30
        while not ready.exists() or signal.getsignal(signal.SIGTERM) == before:
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.1)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize(
    ("launcher", "left", "expected"),
    [
        ("exit 0", "0", 0),
        ("exit 0", None, 0),
        ("exit 0", str(EXIT_REQUEUE), EXIT_REQUEUE),
        ("exit 1", str(EXIT_REQUEUE), EXIT_REQUEUE),
        ("exit 1", str(EXIT_INTERRUPTED), EXIT_INTERRUPTED),
        ("exit 1", "2", 2),
        ("exit 1", None, 1),
        ("exit 1", "0", 1),  # the first worker was done, another one failed
        ("kill -KILL $$", None, 128 + signal.SIGKILL),
        ("kill -KILL $$", "0", 128 + signal.SIGKILL),
    ],
)
def test_the_workers_code_counts_and_a_failure_is_never_a_success(
    launcher: str, left: str | None, expected: int, tmp_path: Path
) -> None:
    file = tmp_path / "outcome"
    if left is not None:
        file.write_text(left)
    assert follow(launcher, file) == expected


@pytest.mark.parametrize(
    ("number", "trapped", "left", "expected"),
    [
        (signal.SIGTERM, "TERM", EXIT_REQUEUE, EXIT_REQUEUE),
        (signal.SIGUSR1, "TERM", EXIT_REQUEUE, EXIT_REQUEUE),
        (signal.SIGINT, "INT", EXIT_INTERRUPTED, EXIT_INTERRUPTED),
        (signal.SIGTERM, "TERM", 0, 0),  # in the last step
        (signal.SIGTERM, "TERM", None, 128 + signal.SIGTERM),  # before training began
    ],
)
def test_signals_reach_the_launcher_and_the_old_handlers_come_back(
    number: signal.Signals, trapped: str, left: int | None, expected: int, tmp_path: Path
) -> None:
    file, ready = tmp_path / "outcome", tmp_path / "ready"
    write = "" if left is None else f"echo {left} > {file};"
    script = f"trap '{write} exit 1' {trapped}; touch {ready}; while :; do sleep 0.05; done"
    before = signal.getsignal(number)
    with signals_sent(number, ready=ready):
        assert follow(script, file) == expected
    assert signal.getsignal(number) == before


def test_signals_that_come_together_are_one_request(tmp_path: Path) -> None:
    count, ready = tmp_path / "count", tmp_path / "ready"
    script = f"trap 'echo x >> {count}' TERM; touch {ready}; for k in $(seq 20); do sleep 0.05; done"
    with signals_sent(signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM, ready=ready):
        assert follow(script, tmp_path / "outcome") == 0
    assert count.read_text() == "x\n"


def test_a_launcher_that_waits_for_other_machines_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exit_status, "LINGER_SECONDS", 0.2)
    file = tmp_path / "outcome"
    file.write_text(str(EXIT_REQUEUE))
    began = time.monotonic()
    assert follow("trap '' TERM; exec sleep 60", file) == EXIT_REQUEUE
    assert time.monotonic() - began < 10


def work(code: int, file: Path, **variables: str) -> int:
    """Exit code of a process whose program returns `code`."""
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    command = [sys.executable, "-c", WORKER, str(code)]
    environment = {**clean, exit_status.FILE: str(file), **variables}
    return subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode


@pytest.mark.parametrize("code", [0, 1, 2, EXIT_REQUEUE, EXIT_INTERRUPTED])
def test_the_first_worker_leaves_its_code_and_an_ordered_stop_is_no_failure(
    code: int, tmp_path: Path
) -> None:
    file, silent = tmp_path / "outcome", tmp_path / "silent"
    ended = 0 if code in (EXIT_REQUEUE, EXIT_INTERRUPTED) else code
    assert work(code, file, RANK="8", LOCAL_RANK="0", WORLD_SIZE="16") == ended
    assert file.read_text() == str(code)
    assert work(code, silent, RANK="9", LOCAL_RANK="1", WORLD_SIZE="16") == ended
    assert not silent.exists()


def test_who_is_no_worker_is_left_alone(tmp_path: Path) -> None:
    assert work(EXIT_REQUEUE, tmp_path / "outcome") == EXIT_REQUEUE
    assert not (tmp_path / "outcome").exists()


def test_what_workers_before_a_restart_left_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "outcome"
    file.write_text(str(EXIT_REQUEUE))
    crash = WORKER.replace("int(sys.argv[1])", "1 / 0")
    variables = {exit_status.FILE: str(file), "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    done = subprocess.run(
        [sys.executable, "-c", crash],
        cwd=PROJECT,
        env={**os.environ, **variables},
        check=False,
        capture_output=True,
    )
    assert done.returncode == 1
    assert not file.exists()
