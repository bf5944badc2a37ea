"""A real Ray cluster of two machines on this one, of which one is killed in the middle."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_runs import (
    Cluster,
    cluster,
    continuations,
    end,
    folder_of,
    left_behind,
    newest_checkpoint,
    require_nothing_left,
    run,
    started,
    steps,
    trials,
    wait_for_step,
    write_sweep,
)  # fmt: skip

pytestmark = pytest.mark.slow

SWEEP = """
experiment: tiny
fixed:
  train.steps: 120
  train.checkpoint_every: 10
  train.measure_every: 60
  train.measure_images: 8
space:
  seed: [0, 1]
"""


@pytest.fixture
def two(short: Path) -> Iterator[Cluster]:
    """Machines of one CPU each, which run one trial at a time."""
    with cluster(short) as made:
        yield made


def checkpoint_of_the_one_that_is_gone(file: Path, names: tuple[str, ...]) -> int:
    """Training ends with its machine; the step that it left to go on from."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        gone = [name for name in names if not left_behind(f"{name}/params.yaml")]
        if gone:
            assert len(gone) == 1
            return newest_checkpoint(file, gone[0])
        time.sleep(0.05)
    raise AssertionError("no training ended with its machine")


def test_a_killed_machine_has_its_trial_go_on_from_its_last_checkpoint_on_the_other(
    data: list[str], two: Cluster, short: Path, tmp_path: Path
) -> None:
    two.add(1)
    second = two.add(1)
    file = write_sweep(tmp_path, SWEEP)
    code, said = run(file, data, f"ray.address={two.address}", "tracking=mlflow", variables=two.variables)
    assert code == 1 and "several machines cannot write to one sqlite file" in said, said
    assert not (tmp_path / "sweeps/small").exists()

    names = ("000-seed_0", "001-seed_1")
    with started(file, data, f"ray.address={two.address}", variables=two.variables) as driver:
        for name in names:
            wait_for_step(file, name, 30, driver)
        two.kill(second)
        kept = checkpoint_of_the_one_that_is_gone(file, names)
        code, said = end(driver)
    assert code == 0, said
    assert "machine was lost" in said
    found = trials(file)
    assert {trial.status for trial in found.values()} == {"finished"}, said
    (lost,) = (trial for trial in found.values() if trial.attempts == 2)
    (stayed,) = (trial for trial in found.values() if trial.attempts == 1)
    assert not continuations(stayed.name, file)
    (gone_on,) = continuations(lost.name, file)
    assert kept >= 20
    assert f"going on from step {kept} " in gone_on
    for name in names:
        assert steps(file, name) == [float(step) for step in range(1, 121)]
        assert (folder_of(file, name) / "train/model/generator.safetensors").exists()
    two.end()
    require_nothing_left(str(short))
    require_nothing_left(str(tmp_path))


def test_a_machine_that_does_not_see_the_sweeps_folder_is_named(
    data: list[str], two: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "sweeps").mkdir()
    try:
        subprocess.run(["unshare", "--mount", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mount namespaces are not permitted here")
    two.add(1)
    two.add(1, lacks=tmp_path / "sweeps")
    file = write_sweep(tmp_path, SWEEP)
    code, said = run(file, data, f"ray.address={two.address}", variables=two.variables)
    assert code == 1, said
    folder = tmp_path / "sweeps/small"
    assert f"machine 127.0.0.3 does not see {folder}: set sweep.folder to one that all share" in said
    assert not folder.exists()


def test_an_address_where_nothing_answers_is_named_within_seconds(data: list[str], tmp_path: Path) -> None:
    file = write_sweep(tmp_path, SWEEP)
    before = time.monotonic()
    code, said = run(file, data, "ray.address=127.0.0.1:1")
    assert code == 1
    assert "ray.address = 127.0.0.1:1: nothing answers there (Connection refused)" in said
    assert time.monotonic() - before < 30
    assert not (tmp_path / "sweeps").exists()
