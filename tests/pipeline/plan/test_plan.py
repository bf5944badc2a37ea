"""The planner measures training as it is, and what it recommends fits."""

import signal
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from gram.analysis.step_cost import Footprint
from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_USAGE
from pipeline.config.loader import load
from pipeline.plan import stage as plan
from pipeline.plan import trial
from pipeline.plan.trial import EndedError, in_new_process, try_out
from pipeline.runtime import scene
from pipeline.tracking import runlog
from pipeline.train import stage as train

SMALL = ("experiment=tiny", "tracking=none", "train.batch_size=4", "train.r1_every=1")
LARGE = (*SMALL, "data.size=64", "model.hidden=64", "sampler.points=26")
"""A picture takes two tenths of a GiB, several times what measurements vary by."""
GIB = 2**30


def measured(micro_batch: int, *more: str) -> int:
    config = load([*LARGE, *more])
    found = try_out(
        config,
        scene.planned_meta(config.data),
        micro_batch=micro_batch,
        patches=1,
        batch=config.train.batch_size,
    )
    assert isinstance(found, Footprint)
    return found.peak_bytes


def planned(capsys: pytest.CaptureFixture[str], folder: Path, *given: str) -> tuple[int, str, str]:
    """Without a data set, whatever the project holds, unless one is given."""
    capsys.readouterr()
    places = [f"paths.train='{folder}/runs/train'", f"paths.train_data='{folder}/nowhere'"]
    code = main(plan.STAGE, plan.run, [*places, *given])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.slow
def test_what_is_recommended_for_a_small_memory_fits_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, four = measured(1), measured(4)
    assert four - one > 0.4 * GIB
    budget = one + 0.7 * (four - one)  # two pictures at a time fit, four do not, by two tenths of a GiB each
    code, out, err = planned(capsys, tmp_path, *LARGE, "--memory", f"{budget / GIB}")
    assert code == 0, err
    assert "there is no data set yet" in err
    assert "too much" in out
    assert "train.micro_batch=2 train.patches=1 fits" in out, out

    written = tmp_path / "runs/plan.yaml"
    assert yaml.safe_load(written.read_text()) == {"train": {"micro_batch": 2, "patches": 1}}
    assert f"planning for {budget / GIB:g} GiB" in written.read_text()
    assert measured(2) <= 1.02 * budget


@pytest.mark.slow
def test_memory_and_pictures_a_second_are_those_of_training(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = planned(capsys, tmp_path, *SMALL, *data)
    assert code == 0, err
    assert "found the data set: 24 images" in err
    settings = yaml.safe_load((tmp_path / "runs/plan.yaml").read_text())["train"]
    assert settings == {"micro_batch": 4, "patches": 1}
    assert "0.00 days" in out

    values = [f"train.{name}={value}" for name, value in settings.items()]
    places = [f"paths.checkpoints='{tmp_path}/work'", f"paths.train='{tmp_path}/runs/train'"]
    assert main(train.STAGE, train.run, [*SMALL, *data, *places, *values]) == 0
    assert next(runlog.read(tmp_path / "runs/train/metrics.jsonl"))["images_per_second"] > 0


def test_a_plan_of_the_user_s_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = tmp_path / "runs/plan.yaml"
    plans.parent.mkdir()
    plans.write_text("monday: train, tuesday: evaluate\n")
    code, out, err = planned(capsys, tmp_path, *SMALL)
    assert (code, out) == (EXIT_ERROR, "")
    assert err.startswith(
        f"plan: {plans} was changed after python -m pipeline.plan wrote it, and would be lost: "
    )
    assert plans.read_text() == "monday: train, tuesday: evaluate\n"
    assert [*plans.parent.iterdir()] == [plans]


def test_what_cannot_fit_says_what_to_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = planned(capsys, tmp_path, *SMALL, "--memory", "0.01")
    assert code == EXIT_ERROR
    message = err.splitlines()[-1]
    assert message.startswith("plan: 10.2 MiB are not enough: one image at a time needs")
    assert "train.recompute=true" in message
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (["--memory", "much"], EXIT_USAGE, "--memory much: it takes a number of GiB above 0"),
        (["--memory", "-1"], EXIT_USAGE, "--memory -1: it takes a number of GiB above 0"),
        (["--memory"], EXIT_USAGE, "it takes a number of GiB above 0"),
        (["train.launch.processes=3"], EXIT_ERROR, "choose a multiple of 3"),
        (["train.device=cuda"], EXIT_ERROR, "torch sees no GPU"),
    ],
)
def test_mistakes_are_one_line(
    given: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "train.device=cuda" in given and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert planned(capsys, tmp_path, *SMALL, *given)[0] == code
    assert message in planned(capsys, tmp_path, *SMALL, *given)[2]


def test_more_memory_than_there_is_does_not_fit_and_harms_nobody() -> None:
    config = load(SMALL)
    meta = scene.planned_meta(config.data)
    assert try_out(config, meta, micro_batch=1, patches=1, batch=10**11) is None


def test_a_process_that_ends_early_is_told_from_one_that_the_system_ended() -> None:
    with pytest.raises(EndedError) as killed:
        in_new_process(partial(signal.raise_signal, signal.SIGKILL))
    assert killed.value.signal == signal.SIGKILL
    with pytest.raises(EndedError, match="code 3") as ended:
        in_new_process(partial(exit, 3))
    assert ended.value.signal is None
    with pytest.raises(ZeroDivisionError):
        in_new_process(partial(divmod, 1, 0))
    assert in_new_process(partial(divmod, 7, 2)) == (3, 1)
    assert trial.device(load(SMALL)).free > 0
