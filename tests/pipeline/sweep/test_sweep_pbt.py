"""Population based training: bad trials go on from the weights of good ones, with other values."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sweep_runs import continuations, folder_of, reports, run, trials, write_sweep

from pipeline.config.loader import resolve
from pipeline.sweep import winner

pytestmark = pytest.mark.slow

SWEEP = """
experiment: tiny
fixed:
  train.steps: 300 # long enough for both to be under way together, however late one starts
  train.measure_every: 300
  train.measure_images: 8
  train.log_every: 5
space:
  train.lr_discriminator: {loguniform: [1.0e-6, 1.0e-2]}
objective: pose/real
search: random
seed: 4
num_trials: 2
scheduler: pbt
grace_steps: 40
"""


def test_a_bad_trial_goes_on_from_a_good_ones_weights_with_another_learning_rate(
    data: list[str], tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, SWEEP)
    code, said = run(file, data)
    assert code == 0, said
    found = trials(file)
    taken = [trial for trial in found.values() if "train.start_from" in trial.values]
    assert taken, [trial.values for trial in found.values()]
    for trial in found.values():
        assert trial.status == "finished" and trial.attempts == 1 and trial.steps == 300
        assert [r["step"] for r in reports(file, trial.name)][-1] == 300
    for trial in taken:
        start = Path(trial.values["train.start_from"])
        donor = start.name.partition("-step-")[0]
        assert donor in found and donor != trial.name
        step = json.loads((start / "checkpoint.json").read_text())["step"]
        assert f"going on from step {step} in {start}" in continuations(trial.name, file)[-1]
        params = resolve(params=folder_of(file, trial.name) / "params.yaml", own=True).config
        assert params.train.lr_discriminator == trial.values["train.lr_discriminator"]
        assert 1e-6 <= params.train.lr_discriminator <= 1e-2
        steps = [r["step"] for r in reports(file, trial.name)]
        assert steps == sorted(set(steps)) and steps[0] == 5  # its own curve before, and what came after
        assert all(
            torch.isfinite(tensor).all() for tensor in load_file(start / "tensors.safetensors").values()
        )
    best = min(found.values(), key=lambda trial: trial.objective or 0.0)
    params = resolve(params=file.parent / "sweeps/small" / winner.BEST).config
    assert params.train.start_from == best.values.get("train.start_from")
