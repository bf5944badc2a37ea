"""Every command on a terminal, whatever its width, where progress is drawn and tables are live."""

from pathlib import Path

import pytest
import terminals
from sweep_runs import command, trials, write_sweep

from pipeline.sweeping.folder import ASKED

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
