"""Every command on a terminal of any width, where progress is drawn, and sweeps that nobody listens to."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import every_command
import pytest
import terminals
from sweep_runs import PATIENCE, command, trials, write_sweep

from pipeline.config.loader import resolve
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import winner
from pipeline.sweep.sweep_yaml import FILE as SWEEP_YAML

SWEEP = """
experiment: tiny
fixed: {train.steps: 2, train.measure_every: 1, train.measure_images: 8}
space: {seed: [0]}
"""
WAYS = {
    "closed": ('exec "$@" <&- >&- 2>&-', 0),
    "nohup": ('exec nohup "$@" </dev/null >"$SAID" 2>&1', 0),
    "head": ('set -o pipefail; "$@" 2>"$SAID" | head -1', 0),
    "full": ('exec "$@" >/dev/full 2>"$SAID"', 1),
}
"""Name of a sweep -> shell that runs it with streams that nobody reads, and its exit code."""


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The leader of a process group, which a failing test does not leave behind."""
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_a_sweep_that_nobody_listens_to_runs_to_its_end(data: list[str], tmp_path: Path) -> None:
    file = write_sweep(tmp_path, SWEEP)
    waited: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as running:
        for name, (shell, _) in WAYS.items():
            words = ["bash", "-c", shell, "bash", *command(file, data, f"sweep.name={name}")]
            variables = {"OMP_NUM_THREADS": "1", "SAID": str(tmp_path / name)}
            process = subprocess.Popen(
                words, cwd=PROJECT, env={**os.environ, **variables}, start_new_session=True
            )
            waited[name] = running.enter_context(ended(process))
        codes = {name: process.wait(PATIENCE) for name, process in waited.items()}
    said = {name: (tmp_path / name).read_text() for name in WAYS if name != "closed"}
    assert codes == {name: code for name, (_, code) in WAYS.items()}, said
    assert "cannot be written to stdout: No space left on device" in said["full"]
    for name in WAYS:
        assert resolve(params=tmp_path / "sweeps" / name / winner.BEST).config.train.steps == 2
        assert (tmp_path / "sweeps" / name / "report.html").read_text().rstrip().endswith("</html>")


@pytest.mark.slow
@pytest.mark.parametrize("width", [20, 60])
def test_a_sweep_on_a_terminal_runs_to_its_end(width: int, data: list[str], tmp_path: Path) -> None:
    file = write_sweep(tmp_path, SWEEP)
    code, shown = terminals.run(width, command(file, data), {"OMP_NUM_THREADS": "1"})
    assert code == 0 and "Traceback" not in shown, shown
    assert [trial.status for trial in trials(file).values()] == ["finished"]
    words = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).split())
    assert "small: 0/1 trials" in words, "the table is live"
    assert resolve(params=tmp_path / "sweeps/small" / winner.BEST).config.train.steps == 2
    assert (tmp_path / "sweeps/small" / SWEEP_YAML).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "runs"), [(20, every_command.RUNS), (60, ("prepare", "train")), (200, ("prepare",))]
)
def test_every_command_runs_on_a_terminal_of_any_width(
    width: int, runs: tuple[str, ...], tmp_path: Path
) -> None:
    words = [sys.executable, every_command.__file__, str(tmp_path), *runs]
    code, shown = terminals.run(width, words, {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"})
    assert "Traceback" not in shown, shown[-5000:]
    assert code == 0, shown[-3000:]
    for name in runs:
        assert f"{name}: 0\r\n" in shown
    assert "\x1b[" in shown, "progress is drawn"
