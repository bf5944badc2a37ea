"""Training that goes on from another one's checkpoint, under settings of its own."""

import json
from pathlib import Path

import pytest
from training_runs import arguments, losses, run

from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.config.loader import load
from pipeline.tracking.fingerprint import fingerprint


def test_it_goes_on_from_the_step_with_other_learning_rates(data: list[str], tmp_path: Path) -> None:
    first, second, same = tmp_path / "first", tmp_path / "second", tmp_path / "same"
    assert run(data, first, "train.steps=10") == 0
    (start,) = (first / "checkpoints").glob("*/step-00000010")
    assert run(data, second, "train.steps=12", f"train.start_from='{start}'", "train.lr_generator=1e-7") == 0
    assert [step for step, _ in losses(second)] == [11, 12]
    made_from = json.loads((second / "out/model/model.json").read_text())["made_from"]
    assert made_from["steps"] == 12
    assert run(data, first, "train.steps=12") == 0
    assert run(data, same, "train.steps=12", f"train.start_from='{start}'") == 0
    assert losses(same) == losses(first)[10:]  # the very same steps, where nothing else differs
    assert losses(second)[0] == losses(first)[10]  # the loss of a step precedes its update
    assert losses(second)[1] != losses(first)[11]


def test_its_fingerprint_is_another_one_and_without_it_that_of_before(
    data: list[str], tmp_path: Path
) -> None:
    plain = load(arguments(data, tmp_path))
    started = load(arguments(data, tmp_path, "train.start_from=x/step-00000010"))
    assert fingerprint(plain, data_hash="0") != fingerprint(started, data_hash="0")


def test_a_folder_that_is_no_checkpoint_is_refused(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path, f"train.start_from='{tmp_path}'") == EXIT_ERROR
    assert f"{tmp_path} is no checkpoint" in capsys.readouterr().err
