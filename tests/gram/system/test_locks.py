"""Locks keep processes apart, name their holder and end with it, on file systems with and without locks."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gram.system.locks import BusyError, held, holder

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from pathlib import Path
from gram.system import locks
{without}
with locks.held(Path(sys.argv[1]), what="runs/x", task="export", shared={shared}):
    print("held", flush=True)
    sys.stdin.read()
"""
WITHOUT = """
import errno, fcntl
def none(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = none
"""


@contextmanager
def other(path: Path, *, shared: bool = False, without: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    program = PROGRAM.format(shared=shared, without=WITHOUT if without else "")
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=[False, True], ids=["flock", "without locks"])
def without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system knows no locks."""
    if request.param:

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def test_a_second_process_is_told_who_holds_it_since_when_and_for_what(tmp_path: Path, without: bool) -> None:
    path = tmp_path / "lock"
    with other(path, without=without) as process:
        told = (
            rf"runs/x is in use by process {process.pid} \(export\) on {socket.gethostname()}, since 20\d\d-"
        )
        with pytest.raises(BusyError, match=told), held(path, what="runs/x", task="export"):
            pass
        with pytest.raises(BusyError, match=told), held(path, what="runs/x", task="train", shared=True):
            pass
        found = holder(path)
        assert found is not None and (found.pid, found.task) == (process.pid, "export")


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, without: bool) -> None:
    path = tmp_path / "lock"
    with other(path, without=without) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert list(tmp_path.iterdir())
        with held(path, what="x", task="export"):
            assert holder(path) is not None
    assert holder(path) is None
    assert list(tmp_path.iterdir()) == []


def test_many_share_it_and_the_last_one_takes_it_along(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with other(path, shared=True) as first:
        with other(path, shared=True), held(path, what="x", task="train", shared=True):
            pass
        assert path.exists()
        with pytest.raises(BusyError, match=f"process {first.pid} "), held(path, what="x", task="prepare"):
            pass
        first.communicate("")
    assert list(tmp_path.iterdir()) == []
    with held(path, what="x", task="prepare"):
        pass


def test_of_many_that_want_it_at_once_one_gets_it(tmp_path: Path) -> None:
    """Each counts in a file that only the holder may touch; lost counts would show two holders."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom gram.system.locks import BusyError, held\n"
        "folder, done = Path(sys.argv[1]), 0\n"
        "while done < 10:\n"
        "    try:\n"
        "        with held(folder / 'lock', what='x', task='t'):\n"
        "            count = int((folder / 'count').read_text())\n"
        "            (folder / 'count').write_text(str(count + 1))\n"
        "            done += 1\n"
        "    except BusyError:\n"
        "        pass\n"
    )
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", program, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "30"
    assert not (tmp_path / "lock").exists()


def test_without_locks_a_process_of_another_machine_is_believed_to_live(
    tmp_path: Path, without: bool
) -> None:
    if not without:
        pytest.skip("the kernel knows")
    path = tmp_path / "lock"
    line = '{"pid": 1, "host": "elsewhere", "since": "2026-01-01", "task": "train"}\n'
    (tmp_path / "lock.held").write_text(line)
    told = r"process 1 \(train\) on elsewhere, since 2026-01-01: .*if it is no more, remove .*lock.held"
    with pytest.raises(BusyError, match=told), held(path, what="x", task="train"):
        pass


def test_a_lock_of_versions_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        file.write(str(os.getpid()))
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        found = holder(path)
    assert found is not None and str(found) == f"process {os.getpid()}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_lies_where_nothing_can_be_written_is_read_without_a_lock(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with held(tmp_path / "lock", what="x", task="train", shared=True):
        pass
    tmp_path.chmod(0o700)
