"""When a run is ended: never a healthy one, always a dead one, whether or not it was interrupted."""

import math
import random
import subprocess
import sys
from pathlib import Path

import pytest

from gram.analysis.health import all_finite
from gram.training import checkpoint
from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.config.loader import load
from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime.scene import open_dataset
from pipeline.tracking import runlog
from pipeline.tracking.runlog import RunLog
from pipeline.train import stage as train
from pipeline.train.collapse import (
    GRACE_IMAGES,
    CollapseDetector,
    Record,
    Symptom,
    collapse_error,
    real_diversity,
)

REAL = 0.4
# Of the default experiment, every 20 steps: live generator, probe of seed 0.
HEALTHY = [0.012, 0.024, 0.024, 0.021, 0.070, 0.072, 0.091, 0.078, 0.284, 0.280, 0.193, 0.279, 0.232, 0.212]


HEALTHY_RECORD = {
    "loss/discriminator": 1.2, "gradient/generator": 5.0, "hits/00": 1.0, "hits/01": 0.3, "opacity": 0.5,
    "diversity": 0.3, "nonfinite": 0.0,
}  # fmt: skip


def record(step: int, changes: Record | None = None) -> Record:
    return {"step": step, "images": 16.0 * step, **HEALTHY_RECORD, **(changes or {})}


def detector(every: int = 20) -> CollapseDetector:
    return CollapseDetector(real_diversity=REAL, every=every)


def feed(detector: CollapseDetector, records: list[Record]) -> list[list[Symptom]]:
    return [detector.add(one) for one in records]


def test_a_healthy_run_is_left_alone() -> None:
    records = [record(20 * (i + 1), {"diversity": value}) for i, value in enumerate(HEALTHY)]
    assert feed(detector(), records) == [[]] * len(records)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
@pytest.mark.parametrize(
    "name", ["loss/generator", "loss/discriminator", "logits/real", "pose/fake", "diversity"]
)
def test_a_number_that_is_not_finite_ends_a_run_at_once(name: str, value: float | None) -> None:
    (finding,) = detector().add(record(7, {name: value}))
    assert (finding.kind, finding.since) == ("not finite", 7)
    assert finding.problem == f"{name}: not finite"


def test_pixels_that_are_not_finite_end_a_run_at_once() -> None:
    (finding,) = detector().add(record(20, {"nonfinite": 0.25}))
    assert finding.kind == "not finite"


def test_gradients_that_overflowed_are_no_reason() -> None:
    assert detector().add(record(20, {"gradient/generator": math.inf, "r1": None})) == []


def test_diversity_is_lost_after_five_reports_in_a_row() -> None:
    healthy = [record(20 * i, {"diversity": 0.3}) for i in range(1, 10)]
    gone = [record(20 * i, {"diversity": 0.02}) for i in range(10, 18)]
    found = feed(detector(), healthy + gone)[9:]
    assert found[:5] == [[]] * 5  # five reports span 80 steps only
    (first,), (second,) = found[5], found[6]
    assert (first.kind, first.since, first.new) == ("collapse", 200, True)
    assert (second.since, second.new) == (200, False)
    assert "diversity is 0.02, where it has been 0.3 and that of real images is 0.4" in first.problem


def test_a_run_that_recovers_in_between_is_left_alone() -> None:
    values = [0.3] * 5 + [0.02, 0.02, 0.02, 0.02, 0.1] * 5
    records = [record(50 * (i + 1), {"diversity": value}) for i, value in enumerate(values)]
    assert not any(feed(detector(), records))


def test_reports_of_every_step_need_patience_for_a_hundred_steps() -> None:
    records = [record(step, {"diversity": 0.3 if step <= 10 else 0.001}) for step in range(1, 140)]
    found = feed(detector(every=1), records)
    assert [step for step, findings in enumerate(found, 1) if findings] == list(range(111, 140))


def test_grey_pictures_are_no_collapse_before_a_hundred_thousand_images() -> None:
    steps = range(500, GRACE_IMAGES // 16 + 5000, 500)
    found = feed(detector(), [record(step, {"diversity": 0.01}) for step in steps])
    ended = [step for step, findings in zip(steps, found, strict=True) if findings]
    assert ended[0] == 6500 + 4 * 500


@pytest.mark.parametrize(
    "changes",
    [{"hits/00": 0.054, "hits/01": 0.0}, {"opacity": 5e-13}, {"hits/00": 0, "hits/01": 0, "opacity": 0}],
)
def test_surfaces_that_are_gone_end_a_run(changes: Record) -> None:
    found = feed(detector(), [record(20 * i, changes) for i in range(1, 8)])
    assert found[:5] == [[]] * 5
    (finding,) = found[5]
    assert finding.kind == "collapse"
    assert "surfaces are gone" in finding.problem
    assert "lr_manifold" in finding.remedy


def test_samplers_without_surfaces_have_none_to_lose() -> None:
    for i in range(1, 9):
        seen = record(20 * i, {"opacity": 0.0})
        assert (
            detector().add({name: value for name, value in seen.items() if not name.startswith("hits/")})
            == []
        )


@pytest.mark.parametrize("changes", [{"loss/discriminator": 500.0}, {"gradient/generator": 3e8}])
def test_a_network_that_ran_away_ends_a_run(changes: Record) -> None:
    found = feed(detector(), [record(20 * i, changes) for i in range(1, 8)])
    assert [finding.kind for finding in found[5]] == ["collapse"]
    assert "training has diverged" in found[5][0].problem


def test_a_discriminator_that_won_is_a_warning() -> None:
    found = feed(detector(), [record(20 * i, {"loss/discriminator": 1e-4}) for i in range(1, 8)])
    assert [(finding.kind, finding.new) for finding in found[5]] == [("warning", True)]
    assert [(finding.kind, finding.new) for finding in found[6]] == [("warning", False)]


def test_an_interrupted_run_is_judged_as_one_that_never_stopped(tmp_path: Path) -> None:
    rng = random.Random(1)
    alive, values = True, []
    for _ in range(79):
        alive = alive != (rng.random() < 0.1)
        values.append({"diversity": 0.3 if alive else 0.01})
    expected = feed(detector(), [record(20 * (i + 1), value) for i, value in enumerate(values)])
    assert any(expected), "the history has something to find"
    for cut in range(1, 79, 7):
        log = RunLog(tmp_path / "work", published=tmp_path / "out", step=0)
        for i, value in enumerate(values[:cut]):
            log.report(20 * (i + 1), {**HEALTHY_RECORD, **value})
        log.report(20 * cut + 7, {**HEALTHY_RECORD, "diversity": 0.0})  # on its way out
        again = CollapseDetector(real_diversity=REAL, every=20, history=runlog.read(log.metrics))
        rest = [record(20 * (i + 1), value) for i, value in enumerate(values)][cut:]
        assert feed(again, rest) == expected[cut:], cut


def test_the_error_names_what_was_seen_the_last_good_checkpoint_and_the_remedy(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        (tmp_path / f"step-{step:08d}").mkdir()
    finding = Symptom(problem="all is grey", remedy="add colour", since=25, kind="collapse")
    assert str(collapse_error([finding], 40, tmp_path)) == (
        f"stopped at step 40: all is grey. The checkpoint of step 20 in {tmp_path} is from before that. "
        "Try to add colour, or go on all the same with train.stop_on_collapse=false"
    )
    assert "No checkpoint is from before that" in str(collapse_error([finding], 40, tmp_path / "elsewhere"))


def arguments(data: list[str], folder: Path, *more: str) -> list[str]:
    places = [f"paths.checkpoints='{folder}/checkpoints'", f"paths.train='{folder}/out'"]
    quiet = ["tracking=none", "train.sample_every=1000", "train.log_every=25", "train.steps=150"]
    return ["experiment=tiny", *data, *places, *quiet, *more]


def run(data: list[str], folder: Path, *more: str) -> int:
    return main(train.STAGE, train.run, arguments(data, folder, *more))


def checkpoints_of(folder: Path) -> Path:
    (work,) = (folder / "checkpoints").iterdir()
    return work


def test_learning_rates_that_overflow_end_a_run_whose_newest_checkpoint_is_finite(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = ["train.lr_generator=10", "train.lr_discriminator=10", "train.checkpoint_every=1"]
    assert run(data, tmp_path, *wild) == EXIT_ERROR
    work = checkpoints_of(tmp_path)
    step = checkpoint.newest_step(work)
    assert step is not None
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"train: stopped at step {step + 1}: ")
    assert "not finite" in message
    assert f"The checkpoint of step {step} in {work} is from before that" in message
    assert "lower train.lr_generator and train.lr_discriminator" in message
    assert "stop_on_collapse" not in message
    found = checkpoint.read_newest(work)
    assert found is not None
    assert all_finite(found.tensors.values())
    assert not (tmp_path / "out/model").exists()
    assert run(data, tmp_path, *wild, "train.stop_on_collapse=false") == EXIT_ERROR
    assert capsys.readouterr().err.splitlines()[-1] == message


LOSES_ITS_SURFACES = ("train.lr_manifold=0.5", "train.manifold_every=1", "train.checkpoint_every=60")


def test_surfaces_that_are_driven_away_end_a_run_at_the_same_step_with_or_without_a_pause(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path / "straight", *LOSES_ITS_SURFACES) == EXIT_ERROR
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("train: stopped at step 125: the surfaces are gone")
    assert "(since step 25). No checkpoint is from before that" in message
    assert run(data, tmp_path / "paused", *LOSES_ITS_SURFACES, "train.steps=60") == 0
    assert run(data, tmp_path / "paused", *LOSES_ITS_SURFACES) == EXIT_ERROR
    assert capsys.readouterr().err.splitlines()[-1] == message.replace("straight", "paused")


def test_whoever_wants_to_see_the_end_is_warned_once(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path, *LOSES_ITS_SURFACES, "train.stop_on_collapse=false") == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "surfaces are gone" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("train: step 125: ")


def test_looking_more_often_changes_no_weight(data: list[str], tmp_path: Path) -> None:
    often, seldom = tmp_path / "often", tmp_path / "seldom"
    for folder, every in ((often, 1), (seldom, 10)):
        assert run(data, folder, "train.steps=10", f"train.log_every={every}") == 0
    for name in ("generator", "discriminator"):
        file = f"out/model/{name}.safetensors"
        assert (often / file).read_bytes() == (seldom / file).read_bytes()


def test_the_diversity_of_real_pictures_is_that_of_groups_as_large_as_the_probe(data: list[str]) -> None:
    dataset = open_dataset(data[0].split("'")[1], load(["experiment=tiny"]).data)
    images = dataset.load_images().float() / 127.5 - 1.0
    groups = [images[first::3].std(0, correction=0).mean() for first in range(3)]
    assert len(images) == 24
    assert real_diversity(dataset) == pytest.approx(float(sum(groups)) / 3)


@pytest.mark.slow
def test_every_process_ends_when_the_first_one_sees_a_collapse(data: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.train", *arguments(data, tmp_path, *LOSES_ITS_SURFACES)]
    done = subprocess.run(
        [*command, "train.launch.processes=2", "train.threads=1"],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == EXIT_ERROR
    assert "train: stopped at step 125: the surfaces are gone" in done.stderr
    assert "lost another process" not in done.stderr
