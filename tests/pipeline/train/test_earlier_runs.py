"""Training that begins at step 0 is reported, with the options that resume an earlier one."""

import json
from pathlib import Path

import pytest
from training_runs import run

from pipeline.train import earlier_runs

SETTINGS = {"seed": 0, "train": {"batch_size": 4, "betas": [0.0, 0.9]}, "scene": {"far": 1.12}, "data": "a"}


def trained(folder: Path, settings: dict[str, object] | None, step: int = 5) -> Path:
    (folder / f"step-{step:08d}").mkdir(parents=True)
    if settings is not None:
        earlier_runs.write_settings(folder, settings)
    return folder


def test_a_changed_batch_size_and_another_clone_are_told(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other_clone = tmp_path / "first", tmp_path / "clone"
    assert run(data, first, "train.steps=5") == 0
    (before,) = (first / "checkpoints").glob("*-*")
    said = capsys.readouterr().err
    assert f"train: beginning at step 0, checkpoints go to {before}" in said
    assert "trained with" not in said
    assert run(data, first, "train.steps=6") == 0
    assert "beginning at step 0" not in capsys.readouterr().err
    assert run(data, first, "train.steps=1", "train.batch_size=2", "seed=3") == 0
    said = capsys.readouterr().err
    assert "train: beginning at step 0" in said
    assert (
        f"{before} is at step 6, trained with seed = 0, not 3, train.batch_size = 4, not 2: the same" in said
    )
    assert run(data, other_clone, "train.steps=1") == 0
    said = capsys.readouterr().err
    assert f"train: beginning at step 0, checkpoints go to {other_clone}/checkpoints/{before.name}" in said


def test_the_training_that_differs_least_is_named_with_its_options(tmp_path: Path) -> None:
    trained(tmp_path / "a-1", {**SETTINGS, "seed": 1, "scene": {"far": 2.0}})
    near = trained(tmp_path / "b-1", {**SETTINGS, "scene": {"far": 2.0}}, step=7)
    now = tmp_path / "c-1"
    assert earlier_runs.describe_closest(now, SETTINGS) == (
        f"{near} is at step 7, trained with data.far = 2.0, not 1.12: the same options resume it"
    )
    trained(tmp_path / "d-1", {**SETTINGS, "seed": 3, "data": "b"})
    assert "d-1 is at step 5, trained with other images" in (
        earlier_runs.describe_closest(now, {**SETTINGS, "seed": 3}) or ""
    )


def test_what_says_nothing_of_itself_is_told_without_options(tmp_path: Path) -> None:
    now = tmp_path / "c-1"
    assert earlier_runs.describe_closest(now, SETTINGS) is None
    (tmp_path / "features-0").mkdir()
    assert earlier_runs.describe_closest(now, SETTINGS) is None
    old = trained(tmp_path / "a-1", None)
    for damaged in (None, "", "[]", "{", "[" * 100_000, "\0"):
        if damaged is not None:
            (old / earlier_runs.FILE).write_text(damaged)
        assert earlier_runs.describe_closest(now, SETTINGS) == (
            f"{old} is at step 5, trained with other options or on other data"
        )
    trained(tmp_path / "c-1-to-3", SETTINGS)
    assert "c-1-to-3" not in (earlier_runs.describe_closest(now, SETTINGS) or "")


def test_what_was_written_first_stays(tmp_path: Path) -> None:
    earlier_runs.write_settings(tmp_path, SETTINGS)
    earlier_runs.write_settings(tmp_path, {"seed": 9})
    assert json.loads((tmp_path / earlier_runs.FILE).read_text()) == SETTINGS
    assert [path.name for path in tmp_path.iterdir()] == [earlier_runs.FILE]
