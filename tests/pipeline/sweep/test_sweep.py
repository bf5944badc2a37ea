"""Sweeps as users run them: to their end, killed and gone on with, with trials that fail."""

import os
import signal
from pathlib import Path

import pytest
from sweep_runs import (
    continuations,
    end,
    folder_of,
    newest_checkpoint,
    reports,
    require_nothing_left,
    run,
    started,
    steps,
    trials,
    wait_for_step,
    write_sweep,
)

from pipeline.config.loader import resolve
from pipeline.sweep import winner

pytestmark = pytest.mark.slow

GRID = """
experiment: tiny
fixed:
  sampler.delta: null
  train.steps: 6
  train.measure_every: 3
  train.measure_images: 8
  train.log_every: 1
space:
  sampler.kind: [planes, manifold]
"""
LONG = """
experiment: tiny
fixed:
  train.steps: 60
  train.checkpoint_every: 10
  train.measure_every: 30
  train.measure_images: 8
space:
  train.lr_discriminator: [1.0e-3, 1.0e+9]
  seed: [0]
max_concurrent: 1
"""


def test_a_grid_runs_to_its_end_and_its_winner_is_a_params_yaml(data: list[str], tmp_path: Path) -> None:
    file = write_sweep(tmp_path, GRID)
    code, said = run(file, data)
    assert code == 0, said
    found = trials(file)
    assert list(found) == ["000-planes", "001-manifold"]
    for name, trial in found.items():
        assert trial.status == "finished" and trial.attempts == 1 and trial.steps == 6
        distances = [r[k] for r in reports(file, name) for k in r if k.startswith("distance/")]
        assert len(distances) == 2 and trial.objective == min(distances)
        assert trial.protocol is not None and trial.protocol["num_fakes"] == 8
        assert trial.images_per_second and trial.memory_gib and trial.seconds > 0
        assert (folder_of(file, name) / "train/model/generator.safetensors").exists()
    best = min(found.values(), key=lambda trial: trial.objective or 0.0)
    sweep = file.parent / "sweeps/small"
    winners = resolve(params=sweep / winner.BEST).config
    assert winners.sampler.kind == best.values["sampler.kind"]
    assert winners.train.steps == 6
    assert (sweep / "table.txt").read_text().splitlines()[2].split()[0] == best.name[:3]
    code, said = run(file, data)
    assert code == 2 and "holds a sweep already, 2 of 2 trials done" in said
    code, said = run(file, data, "--resume", "train.steps=7")
    assert code == 2 and "train.steps = 7, which was 6" in said
    require_nothing_left(str(tmp_path))


def test_a_killed_driver_goes_on_and_a_trial_that_fails_is_tried_again_and_stops_nothing(
    data: list[str], short: Path, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, LONG)
    places = {"TMPDIR": str(short)}
    first, second = "000-lr_discriminator_0.001-seed_0", "001-lr_discriminator_1e+09-seed_0"
    with started(file, data, variables=places) as driver:
        wait_for_step(file, first, 25, driver)
        assert len(list(short.glob("gram-ray-*"))) == 1
        driver.send_signal(signal.SIGKILL)
    require_nothing_left(str(short), seconds=10.0)
    assert not list(short.glob("gram-ray-*"))
    require_nothing_left(str(tmp_path), seconds=1.0)
    kept = newest_checkpoint(file, first)
    assert kept >= 20
    assert trials(file)[first].status == "running"
    code, said = run(file, data, "--resume")
    assert code == 0, said
    (gone_on,) = continuations(first, file)
    assert f"going on from step {kept} " in gone_on
    assert steps(file, first) == [float(step) for step in range(1, 61)]
    found = trials(file)
    assert found[first].status == "finished" and found[first].attempts == 2
    assert found[second].status == "failed" and found[second].attempts == 2
    assert "not finite" in (found[second].reason or ""), said
    assert f"{second}: failed: " in said


def test_a_sweep_whose_group_is_interrupted_writes_checkpoints_and_goes_on(
    data: list[str], tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, LONG.replace(", 1.0e+9", ""))
    with started(file, data) as driver:
        wait_for_step(file, "000-lr_discriminator_0.001-seed_0", 12, driver)
        os.killpg(driver.pid, signal.SIGTERM)  # as supervisors do; Ray must not hear of it
        code, said = end(driver)
    assert code == 85, said
    assert "--resume goes on" in said
    (trial,) = trials(file).values()
    stopped_at = trial.steps
    assert trial.status == "pending" and 12 <= stopped_at < 60
    code, said = run(file, data, "--resume")
    assert code == 0, said
    (gone_on,) = continuations(trial.name, file)
    assert f"going on from step {stopped_at} " in gone_on


PARAMS = """\
# What dvc repro runs.
preset:
  data: tiny
  model: tiny   # small
  sampler: heads32
  train: tiny
  evaluate: tiny
  export: tiny
  tracking: none

seed: 0
data: {}
model: {}
sampler:
  points: 5   # few
  delta: 0.2
train: {}
evaluate: {}
export: {}
"""


def test_applying_keeps_comments_and_a_copy(tmp_path: Path) -> None:
    params, best = tmp_path / "params.yaml", tmp_path / "sweep/best.yaml"
    best.parent.mkdir()
    params.write_text(PARAMS)
    best.write_text(
        PARAMS.replace("points: 5   # few\n  delta: 0.2", "points: 9").replace(
            "train: {}", "train: {steps: 8}"
        )
    )
    copy = winner.apply(best, params)
    assert copy is not None and copy.read_text() == PARAMS
    expected = PARAMS.replace("points: 5   # few", "points: 9   # few").replace("  delta: 0.2\n", "")
    assert params.read_text() == expected.replace("train: {}", "train: {steps: 8}")
    assert resolve(params=params).config == resolve(params=best).config
    assert winner.apply(best, params) is None
    params.write_text(PARAMS)
    assert winner.apply(best, params) == tmp_path / "sweep/params.before-2.yaml"
