"""Help that teaches, exit codes, and signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REQUEUE, EXIT_USAGE
from pipeline.cli.stage import Stage
from pipeline.config.options import all_options
from pipeline.config.schema import Config
from pipeline.config.yaml_reading import PROJECT
from pipeline.prepare import stage as prepare
from pipeline.runtime.signals import Interrupts

STAGE = Stage(name="train", summary="Does things.", groups=("train",), examples=(("command", "effect"),))
READER = Stage(name="export", summary="Reads.", groups=("export",), examples=(), reads_model=True)


def test_help_explains_every_option_of_the_stage_with_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(STAGE, lambda config: 9, ["--help", "train.steps=123"]) == 0
    text = capsys.readouterr().out
    for option in all_options().values():
        assert (option.name in text) == option.name.startswith("train."), option.name
        if option.name.startswith("train."):
            assert option.metadata["meaning"] in text
    assert any(line.split()[:2] == ["train.steps", "123"] for line in text.splitlines())
    for part in ("usage: python -m pipeline.train", "[heads32]", "Examples", "Exit codes", "Does things."):
        assert part in text


def test_show_prints_every_value_and_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(STAGE, lambda config: 9, ["--show", "experiment=tiny", "seed=5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(all_options())
    assert lines[0].split() == ["seed", "5", "command", "line"]


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 0), (["train.stepz=1"], EXIT_USAGE), (["--stepz"], EXIT_USAGE)]
)
def test_exit_codes_tell_usage_from_success(arguments: list[str], code: int) -> None:
    assert main(STAGE, lambda config: None, arguments) == code


def test_an_error_of_the_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(config: Config) -> None:
        raise ValueError("no pictures in x: add some")

    assert main(STAGE, fail, []) == EXIT_ERROR
    assert capsys.readouterr().err == "train: no pictures in x: add some\n"
    with pytest.raises(ValueError, match="no pictures"):
        main(STAGE, fail, ["--traceback"])


def test_a_full_disk_is_an_error_and_a_defect_keeps_its_traceback() -> None:
    def fill(config: Config) -> None:
        raise OSError(28, "No space left on device")

    def break_(config: Config) -> None:
        raise KeyError("defect")

    assert main(STAGE, fill, []) == EXIT_ERROR
    with pytest.raises(KeyError):
        main(STAGE, break_, [])


def test_a_stage_that_reads_a_model_takes_a_folder() -> None:
    seen: list[Config] = []
    assert main(READER, lambda config: seen.append(config), ["model=models/it's, 64"]) == 0
    assert seen[0].paths.model == "models/it's, 64"
    assert main(STAGE, lambda config: seen.append(config), ["model=tiny"]) == 0
    assert seen[1].paths.model == "runs/train/model"
    assert seen[1].model.z_dim == 8


def test_a_stage_runs_from_any_directory_and_reports_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.prepare", "data=images"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == EXIT_ERROR
    assert "data.path is not set" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert prepare.STAGE.name == "prepare"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, EXIT_INTERRUPTED), (signal.SIGTERM, EXIT_REQUEUE), (signal.SIGUSR1, EXIT_REQUEUE)],
)
def test_signals_that_come_together_are_noted_and_a_later_one_acts_at_once(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[int] = []
    before = signal.signal(number, lambda caught, _frame: acted.append(caught))
    try:
        with Interrupts() as interrupts:
            assert interrupts.exit_code is None
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)
            assert interrupts.exit_code == code
            assert acted == []
            monkeypatch.setattr("pipeline.runtime.signals.TOGETHER_SECONDS", 0.0)
            os.kill(os.getpid(), number)
            assert acted == [number]
    finally:
        signal.signal(number, before)
