"""What a training run leaves, and what it refuses."""

import os
import shutil
from pathlib import Path

import pytest
from training_runs import STEPS, losses, result, run, start, wait_for_step

from pipeline.cli.exit_codes import EXIT_ERROR


@pytest.fixture(scope="module")
def straight(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    assert run(data, folder) == 0
    return folder


def test_a_run_leaves_model_metrics_curves_and_pictures(straight: Path) -> None:
    out = straight / "out"
    assert [step for step, _ in losses(straight)] == list(range(1, STEPS + 1))
    assert len((out / "curves.csv").read_text().splitlines()) == STEPS + 1
    names = {path.name for path in (out / "samples").iterdir()}
    assert names == {
        f"{kind}-{step:07d}.png" for kind in ("grid", "sweep", "surfaces") for step in (0, 12, 24)
    }
    assert (out / "model/model.json").exists()


def test_raising_the_steps_goes_on_and_lowering_them_trains_apart(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    assert run(data, tmp_path, "train.steps=11") == 0
    short = result(tmp_path)
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)
    assert run(data, tmp_path, "train.steps=11") == 0
    assert result(tmp_path) == short
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)


def test_a_finished_run_is_published_again_without_training(
    data: list[str], straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, straight, f"paths.train='{tmp_path}/out'") == 0
    assert f"going on from step {STEPS}" in capsys.readouterr().err
    assert result(tmp_path) == result(straight)
    assert losses(tmp_path) == losses(straight)


def test_a_model_that_is_replaced_is_named_and_can_be_had_back(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path, "train.steps=12") == 0
    whole = result(tmp_path)
    (work,) = [path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()]
    capsys.readouterr()

    assert run(data, tmp_path, "train.steps=11") == 0
    told, remedy = (
        line
        for line in capsys.readouterr().err.splitlines()
        if "will be replaced" in line or "to restore it" in line
    )
    assert told.startswith(
        f"train: {tmp_path}/out/model, 12 steps of {work.name}, will be replaced by 11 steps"
    )
    assert remedy == f"train: to restore it: train.steps=12; its checkpoint stays in {work}"
    assert result(tmp_path) != whole
    assert run(data, tmp_path, "train.steps=12") == 0
    assert result(tmp_path) == whole
    assert "will be replaced" not in capsys.readouterr().err, "eleven steps that become twelve are no loss"

    assert run(data, tmp_path, "train.steps=1", "seed=1") == 0
    assert "restore it: train.steps=12 and its options; its checkpoint stays in" in capsys.readouterr().err
    (other,) = (
        {path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()}
        - {work}
        - set((tmp_path / "checkpoints").glob("*-to-*"))
    )
    shutil.rmtree(other)
    assert run(data, tmp_path, "train.steps=1") == 0
    assert f"copy it, cp -r {tmp_path}/out/model ELSEWHERE" in capsys.readouterr().err


def test_a_second_process_on_the_same_configuration_is_refused(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(data, tmp_path, "train.steps=100000")
    try:
        wait_for_step(tmp_path, 1, process)
        assert run(data, tmp_path, "train.steps=100000") == EXIT_ERROR
        assert f"in use by process {process.pid}" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data.size=32", "holds heads of 16 x 16 pixels, but the configuration asks for heads of 32 x 32"),
        ("data=cars128", "but the configuration asks for cars of 128 x 128"),
        ("paths.train_data=nowhere", "nowhere"),
    ],
)
def test_data_that_does_not_fit_is_refused_before_anything_is_written(
    argument: str, message: str, data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path, argument) == EXIT_ERROR
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_pictures_appear_where_they_are_published_while_training_goes_on(straight: Path) -> None:
    (work,) = [path for path in (straight / "checkpoints").iterdir() if path.is_dir()]
    for name in os.listdir(work / "samples"):
        assert (work / "samples" / name).read_bytes() == (straight / "out/samples" / name).read_bytes()
