"""Temporary folders: those of the dead removed at the next start, those of the living and of others left."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import all_gone, below, free_port
from training_runs import PATIENCE, arguments, end, killed_at_the_end, result, wait_for_step

from gram.system import locks, scratch
from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime.launch import start

PREFIX = "gram-test-"
LOGS = (f"{start.PREFIX}*/logs", "torchelastic_*")
"""Patterns of where torchrun may have its logs."""
HOLDER = f"""
import sys, time
from gram.system import scratch
with scratch.folder({PREFIX!r}):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def names(place: Path) -> set[str]:
    """All but the cache of compiled programs that torch has for each user."""
    return {path.name for path in place.iterdir() if not path.name.startswith("torchinductor_")}


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


@pytest.mark.parametrize("locked", [True, False], ids=["locks", "no-locks"])
def test_a_folder_is_the_user_s_alone_and_goes_with_its_lock(
    place: Path, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    if not locked:
        without_locks(monkeypatch)
    with pytest.raises(RuntimeError), scratch.folder(PREFIX) as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(folder.name) == scratch.name_length(PREFIX)
        (folder / "deep").mkdir()
        raise RuntimeError
    assert names(place) == set()


def test_what_a_killed_process_left_goes_and_what_the_living_and_others_have_stays(place: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(place)}
    command = [sys.executable, "-c", HOLDER]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, env=variables, stdout=pipe, text=True) as killed,
        subprocess.Popen(command, env=variables, stdout=pipe, text=True) as living,
    ):
        try:
            for process in (killed, living):
                assert process.stdout is not None
                assert process.stdout.readline() == "held\n"
            killed.kill()
            killed.wait()
            left = names(place)
            assert len(left) == 4
            (place / f"{PREFIX}01234567").mkdir()  # of somebody else: no lock
            (place / f".{PREFIX}89abcdef.lock").symlink_to(place / "nothing")
            foreign = {f"{PREFIX}01234567", f".{PREFIX}89abcdef.lock"}
            with scratch.folder(PREFIX) as folder:
                own = {folder.name, f".{folder.name}.lock"}
                kept = names(place) - own - foreign
                assert len(kept) == 2 and kept < left
            assert names(place) == kept | foreign
        finally:
            living.kill()
    with scratch.folder("gram-other-"):
        assert names(place) > kept
    with scratch.folder(PREFIX):
        pass
    assert names(place) == foreign


def test_a_lock_that_was_held_where_the_file_system_knows_none_is_no_obstacle(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    (place / f"{PREFIX}01234567").mkdir()
    gone = locks.Holder(pid=2**22 + 1, host=locks.socket.gethostname(), since="then", task="test")
    line = locks.json.dumps(locks.asdict(gone))
    (place / f".{PREFIX}01234567.lock.held").write_text(line + "\n")
    with scratch.folder(PREFIX):
        assert not (place / f"{PREFIX}01234567").exists()
    assert names(place) == set()


def training(data: list[str], folder: Path, place: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipeline.train", *arguments(data, folder, *more)]
    variables = {**os.environ, "TMPDIR": str(place)}
    return subprocess.Popen(command, cwd=PROJECT, env=variables, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_nothing_of_a_killed_launch_stays_after_the_next(
    data: list[str], straight_on_two: Path, tmp_path: Path, place: Path
) -> None:
    options = ("train.launch.processes=2", "train.checkpoint_every=1")
    with killed_at_the_end(training(data, tmp_path, place, *options)) as process:
        wait_for_step(tmp_path, 3, process)
        everyone = [*below(process, "pipeline.runtime.launch.workers"), *below(process, "pipeline.train")]
        process.send_signal(signal.SIGKILL)
        assert all_gone(everyone)
    assert any(name.startswith(start.PREFIX) for name in names(place))
    code, messages = end(training(data, tmp_path, place, *options))
    assert code == 0, messages
    assert names(place) == set()
    assert result(tmp_path) == result(straight_on_two)


@pytest.mark.slow
def test_torchrun_leaves_its_logs_in_no_other_folder(data: list[str], tmp_path: Path, place: Path) -> None:
    """Machine 0 of two, which waits for the other one: killed, and asked to end."""
    options = ["processes=1", "machines=2", "machine_rank=0", f"main_port={free_port()}"]
    chosen = [f"train.launch.{option}" for option in options]
    for number in (signal.SIGKILL, signal.SIGTERM):
        with killed_at_the_end(training(data, tmp_path, place, *chosen)) as process:
            wait_until(lambda: bool(below(process, "pipeline.runtime.launch.accelerate")), process)
            wait_until(lambda: any(list(place.glob(name)) for name in LOGS), process)
            (launcher,) = below(process, "pipeline.runtime.launch.accelerate")
            assert all(start.PREFIX in name for name in names(place))
            process.send_signal(number)
            process.communicate(timeout=60)
            assert all_gone([launcher])
    assert names(place) == set()
