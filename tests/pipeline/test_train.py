"""Training that is interrupted at any moment ends in the same model as training that never was."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gram import checkpoint
from pipeline import prepare, runlog, train
from pipeline.cli import EXIT_ERROR, EXIT_REQUEUE, main
from pipeline.config import PROJECT

STEPS = 24
OPTIONS = ("experiment=tiny", "tracking=none", "train.sample_every=12", "train.checkpoint_every=5")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that name a small prepared data set."""
    folder = tmp_path_factory.mktemp("data")
    paths = [f"paths.train_data='{folder}/train'", f"paths.test_data='{folder}/test'"]
    assert main(prepare.STAGE, prepare.run, ["experiment=tiny", *paths]) == 0
    return paths


def arguments(data: list[str], folder: Path, *more: str) -> list[str]:
    places = [f"paths.checkpoints='{folder}/checkpoints'", f"paths.train='{folder}/out'"]
    return [*OPTIONS, *data, *places, f"train.steps={STEPS}", *more]


def run(data: list[str], folder: Path, *more: str) -> int:
    return main(train.STAGE, train.run, arguments(data, folder, *more))


def start(data: list[str], folder: Path, *more: str) -> subprocess.Popen[str]:
    """The same as a process of its own."""
    command = [sys.executable, "-m", "pipeline.train", *arguments(data, folder, *more)]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    metrics = folder / "out" / runlog.METRICS
    while not any(record["step"] >= step for record in runlog.read(metrics)):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def result(folder: Path) -> dict[str, str]:
    """Name -> hash of every tensor file of the model."""
    files = sorted((folder / "out/model").glob("*.safetensors"))
    assert len(files) == 2
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(r["step"], r["loss/discriminator"]) for r in runlog.read(folder / "out" / runlog.METRICS)]


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
    assert names == {f"{kind}-{step:07d}.png" for kind in ("grid", "sweep") for step in (0, 12, 24)}
    assert (out / "model/model.json").exists()


def test_killed_at_any_moment_and_started_again_gives_the_same_bytes(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    for step in (3, 13):  # before the first checkpoint, and between two
        process = start(data, tmp_path)
        wait_for_step(tmp_path, step, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)
    assert losses(tmp_path) == losses(straight)


def test_sigterm_writes_a_checkpoint_exits_with_the_documented_code_and_resumes(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    process = start(data, tmp_path, "train.checkpoint_every=1000")
    wait_for_step(tmp_path, 4, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == EXIT_REQUEUE, errors
    assert f"of {STEPS}; run again to go on" in errors
    assert not (tmp_path / "out/model").exists()
    (folder,) = (tmp_path / "checkpoints").iterdir()
    stopped = checkpoint.newest_step(folder)
    assert stopped is not None
    assert stopped == losses(tmp_path)[-1][0]
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)


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


def test_a_full_disk_is_reported_and_the_checkpoint_before_it_is_intact(
    data: list[str],
    straight: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save = checkpoint.save

    def fill_up(folder: Path, state: train.TrainingState, **options: Any) -> object:
        if state.step > 5:
            raise OSError(28, "No space left on device")
        return save(folder, state, **options)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", fill_up)
        assert run(data, tmp_path) == EXIT_ERROR
    message = capsys.readouterr().err.splitlines()[-1]
    assert "checkpoint of step 10 cannot be written" in message
    assert "No space left on device" in message
    assert "the one of step 5 is intact: make room and run again" in message
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)


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
        ("data.kind=cars", "but the configuration asks for cars of 16 x 16"),
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
