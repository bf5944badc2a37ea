"""Every command on a terminal, whatever its width, where progress is drawn and tables are live."""

import sys
from pathlib import Path

import every_command
import pytest
import terminals
from sweep_runs import command, trials, write_sweep

from pipeline.config import PROJECT
from pipeline.sweeping.asked import ASKED

SWEEP = """
experiment: tiny
fixed: {train.steps: 2, train.measure_every: 1, train.measure_images: 8}
space: {seed: [0]}
"""


@pytest.mark.slow
def test_a_sweep_on_a_terminal_runs_to_its_end(data: list[str], tmp_path: Path) -> None:
    file = write_sweep(tmp_path, SWEEP)
    code, shown = terminals.run(60, command(file, data), {"OMP_NUM_THREADS": "1"})
    assert code == 0 and "Traceback" not in shown, shown
    assert [trial.status for trial in trials(file).values()] == ["finished"]
    assert "small: 0/1 trials" in shown, "the table is live"
    assert (tmp_path / "sweeps/small" / ASKED).exists()


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
