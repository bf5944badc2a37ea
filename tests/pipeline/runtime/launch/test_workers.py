"""Processes of one machine: who listens, and what becomes of them when one fails or all are asked to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from machines import below
from training_runs import end, killed_at_the_end, start, wait_for_step

from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime.launch import workers

LOOPBACK = ("127.0.0.1", "::1")
PROGRAM = """
import os, signal, sys, time
rank, attempt = os.environ["RANK"], os.environ["GRAM_MEETING"].rpartition("-")[2]
print(attempt, rank, os.environ["WORLD_SIZE"], file=open(f"{attempt}.{rank}", "w"))
while len([name for name in os.listdir() if name.startswith(f"{attempt}.")]) < 2:
    time.sleep(0.01)
"""
"""Of a worker in a folder that notes when it has begun, and goes on when both have."""


def launch(
    folder: Path, restarts: int, *lines: str, launcher: str = "pipeline.runtime.launch.workers"
) -> subprocess.Popen[str]:
    """Two workers that run PROGRAM and these lines in a folder."""
    (folder / "worker.py").write_text(PROGRAM + "\n".join(lines))
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{folder}"}
    environment[workers.MEETING] = str(folder / "meeting")
    command = [sys.executable, "-m", launcher, "2", str(restarts), "worker"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def begun(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("?.?"))


def test_all_start_again_as_often_as_asked_for_and_meet_anew(tmp_path: Path) -> None:
    code, messages = end(launch(tmp_path, 1, "sys.exit(3) if attempt == '0' and rank == '1' else None"))
    assert code == 0
    assert begun(tmp_path) == ["0.0", "0.1", "1.0", "1.1"]
    assert messages == "launch: process 1 ended with exit code 3; the others were ended\n"


def test_a_killed_worker_is_the_one_that_is_named_and_nobody_stays(tmp_path: Path) -> None:
    lines = ["os.kill(os.getpid(), signal.SIGKILL) if rank == '1' else time.sleep(600)"]
    code, messages = end(launch(tmp_path, 0, *lines))
    assert code == 1
    assert messages == "launch: process 1 was killed by SIGKILL; the others were ended\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_reaches_every_worker_once_and_nothing_starts_again(
    number: signal.Signals, tmp_path: Path
) -> None:
    lines = [
        f"signal.signal({number.value}, lambda *_: print('x', file=open(f'heard.{{rank}}', 'a')))",
        "open(f'ready.{rank}', 'w')",
        "while not os.path.exists(f'heard.{rank}'): time.sleep(0.01)",
        "time.sleep(0.3)",
        "sys.exit(1)",
    ]
    process = launch(tmp_path, 5, *lines)
    while len(list(tmp_path.glob("ready.*"))) < 2:
        assert process.poll() is None
    process.send_signal(number)
    code, messages = end(process)
    assert (code, messages) == (1, "")
    assert begun(tmp_path) == ["0.0", "0.1"]
    assert [(tmp_path / f"heard.{rank}").read_text() for rank in (0, 1)] == ["x\n", "x\n"]


def test_workers_that_do_not_stop_are_killed(tmp_path: Path) -> None:
    impatient = "import sys; from pipeline.runtime.launch import workers; workers.STOP_SECONDS = 0.2"
    (tmp_path / "impatient.py").write_text(f"{impatient}; sys.exit(workers.main(sys.argv[1:]))")
    lines = ["signal.signal(signal.SIGTERM, signal.SIG_IGN)", "open(f'ready.{rank}', 'w')", "time.sleep(600)"]
    process = launch(tmp_path, 0, *lines, launcher="impatient")
    with killed_at_the_end(process):
        while len(list(tmp_path.glob("ready.*"))) < 2:
            assert process.poll() is None
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 1
        assert not any(child.is_running() for child in children)


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    """Addresses and ports of its sockets that wait for others."""
    found = process.net_connections(kind="inet")
    return [(entry.laddr.ip, entry.laddr.port) for entry in found if entry.status == psutil.CONN_LISTEN]


@pytest.mark.slow
def test_nothing_listens_beyond_loopback_while_two_processes_train(
    data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even in the shell of a cluster, whose settings name the interface that leads to other machines."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    process = start(data, tmp_path, "train.launch.processes=2", "train.steps=100000")
    with killed_at_the_end(process):
        wait_for_step(tmp_path, 2, process)
        assert len(below(process, "pipeline.train")) == 2
        (launcher,) = below(process, "pipeline.runtime.launch.workers")
        everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        heard = [place for one in everyone for place in listening(one)]
        assert heard, "gloo's own sockets"
        assert [place for place in heard if place[0] not in LOOPBACK] == []
        assert listening(launcher) == []
