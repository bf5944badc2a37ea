"""Output that cannot be written ends no command, and leaves no traceback."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training_runs import arguments, killed_at_the_end, result, run, wait_for_step

from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_HANGUP, EXIT_USAGE
from pipeline.config.yaml_reading import PROJECT

PYTHON = f"'{sys.executable}' -m"
TRAIN = [sys.executable, "-m", "pipeline.train"]
LOST = "cannot be written to stdout: No space left on device"


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, which ends as the first program of a pipe that fails."""
    command = ["bash", "-o", "pipefail", "-c", line]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def straight(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    assert run(data, folder) == 0
    return folder


@pytest.mark.parametrize(
    ("line", "code", "out", "problem"),
    [
        ("pipeline.train --show | head -1", 0, "seed", None),
        ("pipeline.doctor tracking=none | head -1", None, "Versions\n", None),
        ("pipeline.plan --help >&-", 0, "", None),
        ("pipeline.train --show > /dev/full", EXIT_ERROR, "", f"train: the result {LOST}\n"),
        ("pipeline.train --shwo 2>&-", EXIT_USAGE, "", ""),
        ("pipeline.train --shwo 2> /dev/full", EXIT_USAGE, "", ""),
        ("pipeline.train --shwo 2>&1 >&- | head -0", EXIT_USAGE, "", ""),
    ],
)
def test_a_command_ends_by_its_result_where_nobody_can_read_it(
    line: str, code: int | None, out: str, problem: str | None
) -> None:
    """Also the doctor, whose result depends on the machine: 0 or 1, as without a pipe."""
    done = shell(f"{PYTHON} {line}")
    assert done.returncode in ((0, EXIT_ERROR) if code is None else (code,))
    assert done.stdout.startswith(out)
    assert done.stderr == (problem or "")


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "2> /dev/full", "2>&1 | head -1"])
def test_training_goes_on_without_its_streams_and_gives_the_same_bytes(
    streams: str, data: list[str], straight: Path, tmp_path: Path
) -> None:
    """Were a closed one not opened, a file would get its number, and what libraries print."""
    given = " ".join(f'"{word}"' for word in arguments(data, tmp_path))
    done = shell(f"{PYTHON} pipeline.train {given} {streams}")
    assert (done.returncode, done.stderr) == (0, "")
    assert result(tmp_path) == result(straight)


def test_training_goes_on_when_its_terminal_is_gone(data: list[str], straight: Path, tmp_path: Path) -> None:
    """As under nohup, which has SIGHUP ignored and leaves the streams to a terminal that they had."""
    ours, theirs = pty.openpty()
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *TRAIN, *arguments(data, tmp_path)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=theirs, stderr=theirs, text=True)
    os.close(theirs)
    with killed_at_the_end(process):
        wait_for_step(tmp_path, 2, process)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=60) == 0
    assert result(tmp_path) == result(straight)


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_closed_terminal_ends_training_with_a_checkpoint_unless_nohup_is_asked_for(
    processes: int, data: list[str], straight: Path, straight_on_two: Path, tmp_path: Path
) -> None:
    given = arguments(data, tmp_path, "train.checkpoint_every=1000", f"train.launch.processes={processes}")
    process = subprocess.Popen([*TRAIN, *given], cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    with killed_at_the_end(process):
        wait_for_step(tmp_path, 4, process)
        process.send_signal(signal.SIGHUP)
        _, messages = process.communicate(timeout=60)
    assert process.returncode == EXIT_HANGUP, messages
    assert "run again to go on" in messages
    done = subprocess.run([*TRAIN, *given], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stderr
    assert result(tmp_path) == result(straight_on_two if processes == 2 else straight)


def test_characters_that_an_encoding_lacks_are_written_as_their_numbers() -> None:
    ascii_alone = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONPATH": str(PROJECT)}
    for shown in (
        f"{PYTHON} pipeline.train --show \"paths.train='Köpfe'\"",
        f"{PYTHON} pipeline.train Köpfe",
    ):
        done = shell(shown, **ascii_alone)
        assert "K\\udcc3\\udcb6pfe" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_a_path_of_any_letters_is_one_under_the_locale_c(data: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "Köpfe 頭"
    command = [*TRAIN, *arguments(data, folder, "train.steps=2")]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "out/model/generator.safetensors").exists()
    assert str(folder) in done.stderr
