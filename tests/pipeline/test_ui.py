"""The page of all runs: its port, and its end."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from machines import all_gone, free_port

from pipeline import ui
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_USAGE


@pytest.mark.parametrize("words", [["99999"], ["0"], ["-1"], ["http"], ["5_0"], ["5000", "5001"]])
def test_what_is_no_port_is_refused_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(words) == EXIT_USAGE
    assert capsys.readouterr().err == f"ui: {' '.join(words)} is no port; {ui.USAGE}\n"


def test_a_port_that_is_taken_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((ui.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert ui.main([str(port)]) == EXIT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ui: port {port} of 127.0.0.1 is not available (Address already in use): ")


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://{ui.HOST}:{port}/health", timeout=5) as answer:
        return answer.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_the_command_leaves_its_port_and_shows_no_address_in_ps(
    number: signal.Signals, tmp_path: Path
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "pipeline.ui", str(port)]
    (tmp_path / "alice:hunter2@host").mkdir()
    own = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/alice:hunter2@host/mlflow.db"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=own) as process:
        answer, deadline = "", time.monotonic() + 120
        while not answer and time.monotonic() < deadline:
            with suppress(OSError):
                answer = page(port)
            time.sleep(0.1)
        assert answer == "OK"
        everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        shown = b"".join(Path(f"/proc/{one.pid}/cmdline").read_bytes() for one in everyone)
        assert b"uvicorn" in shown and b"hunter2" not in shown
        os.kill(process.pid, number)
        process.wait(timeout=30)
        assert all_gone(everyone)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((ui.HOST, port))
