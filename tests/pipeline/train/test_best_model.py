"""Distances while training, and the best model: as evaluate measures it, whatever interrupts the run."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.evaluate import stage as evaluate
from pipeline.tracking import runlog
from pipeline.train import stage as train

METRIC = "distance/fid_effnetlite0_8"
MEASURED = ("train.measure_every=3", "train.measure_images=8", "train.steps=8", "train.checkpoint_every=4")


def arguments(data: list[str], folder: Path, *more: str) -> list[str]:
    places = [f"paths.checkpoints='{folder}/checkpoints'", f"paths.train='{folder}/out'"]
    places += [f"paths.evaluate='{folder}/evaluate'"]
    return ["experiment=tiny", "tracking=none", "train.sample_every=1000", *data, *places, *more]


def run(data: list[str], folder: Path, *more: str) -> int:
    return main(train.STAGE, train.run, arguments(data, folder, *MEASURED, *more))


def distances(folder: Path) -> dict[int, float]:
    records = runlog.read(folder / "out" / runlog.METRICS)
    return {int(record["step"]): record[METRIC] for record in records if METRIC in record}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def made_from(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "model.json").read_text())["made_from"]


@pytest.fixture(scope="module")
def straight(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    assert run(data, folder) == 0
    return folder


def test_distances_are_measured_every_so_often_and_at_the_end(straight: Path) -> None:
    found = distances(straight)
    assert list(found) == [3, 6, 8]
    assert len(set(found.values())) == 3


def test_the_best_model_is_kept_with_its_step_distance_and_protocol(straight: Path) -> None:
    found = distances(straight)
    best = min(found, key=lambda step: found[step])
    told = made_from(straight / "out/best")
    assert (told["steps"], told["images"]) == (best, 4 * best)
    assert told["measured"]["values"] == {"fid_effnetlite0": found[best]}
    protocol = told["measured"]["protocol"]
    assert (protocol["num_fakes"], protocol["num_reals"], protocol["psi"]) == (8, 8, 1.0)
    assert {**told, "measured": 0, "steps": 0, "images": 0} == {
        **made_from(straight / "out/model"), "measured": 0, "steps": 0, "images": 0,
    }  # fmt: skip
    (work,) = [path for path in (straight / "checkpoints").iterdir() if path.name != "features"]
    assert contents(work / "best") == contents(straight / "out/best")


@pytest.mark.parametrize("name", ["best", "model"])
def test_evaluate_finds_the_same_distance_with_as_many_pictures(
    data: list[str], straight: Path, name: str
) -> None:
    alike = ["evaluate.images=8", "evaluate.batch_size=50", f"model={straight}/out/{name}"]
    alike += ["evaluate.at_initialisation=false", "evaluate.real_against_real=false"]
    assert main(evaluate.STAGE, evaluate.run, arguments(data, straight, *alike)) == 0
    value = json.loads((straight / "evaluate/metrics.json").read_text())["fid_effnetlite0"]
    protocol = json.loads((straight / "evaluate/protocol.json").read_text())["trained"]
    assert value == distances(straight)[made_from(straight / f"out/{name}")["steps"]]
    assert protocol == made_from(straight / "out/best")["measured"]["protocol"]


def test_an_interrupted_run_keeps_the_same_best_model(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    assert run(data, tmp_path, "train.steps=4") == 0
    assert set(distances(tmp_path)) == {3, 4}
    assert run(data, tmp_path) == 0
    found = distances(tmp_path)
    assert {step: found[step] for step in (3, 6, 8)} == distances(straight)
    best = min(found, key=lambda step: found[step])
    assert made_from(tmp_path / "out/best")["steps"] == best
    if best != 4:
        assert contents(tmp_path / "out/best") == contents(straight / "out/best")


def test_the_best_so_far_outlives_what_was_published_and_a_worse_rest(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    assert run(data, tmp_path, "train.steps=4") == 0
    (work,) = [path for path in (tmp_path / "checkpoints").iterdir() if path.name != "features"]
    unbeatable = json.loads((work / "best/model.json").read_text())
    unbeatable["made_from"]["measured"]["values"] = {"fid_effnetlite0": -1.0}
    (work / "best/model.json").write_text(json.dumps(unbeatable))
    assert run(data, tmp_path, f"paths.train='{tmp_path}/elsewhere'") == 0
    assert contents(tmp_path / "elsewhere/best") == contents(work / "best")
    assert made_from(tmp_path / "elsewhere/best")["measured"]["values"] == {"fid_effnetlite0": -1.0}


def test_a_distance_of_another_protocol_is_not_compared(data: list[str], tmp_path: Path) -> None:
    assert run(data, tmp_path, "train.steps=3") == 0
    (work,) = [path for path in (tmp_path / "checkpoints").iterdir() if path.name != "features"]
    kept = json.loads((work / "best/model.json").read_text())
    kept["made_from"]["measured"]["values"] = {"fid_effnetlite0": -1.0}
    (work / "best/model.json").write_text(json.dumps(kept))
    assert run(data, tmp_path, "train.steps=4", "train.measure_images=6") == 0
    assert made_from(tmp_path / "out/best")["measured"]["protocol"]["num_fakes"] == 6


def test_measuring_changes_no_weight_and_without_it_the_best_model_is_the_last_one(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    assert run(data, tmp_path, "train.measure_every=0") == 0
    assert distances(tmp_path) == {}
    assert contents(tmp_path / "out/best") == contents(tmp_path / "out/model")
    for name in ("generator", "discriminator"):
        file = f"out/model/{name}.safetensors"
        assert (tmp_path / file).read_bytes() == (straight / file).read_bytes()


def test_a_run_publishes_no_best_model_of_the_run_before(data: list[str], tmp_path: Path) -> None:
    assert run(data, tmp_path, "train.steps=3") == 0
    assert run(data, tmp_path, "train.steps=3", "train.measure_every=0", "seed=1") == 0
    assert made_from(tmp_path / "out/best")["seed"] == 1


def test_without_the_packages_of_distances_the_error_says_what_to_do(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.delitem(sys.modules, "gram.analysis.distances", raising=False)
    for name in [name for name in sys.modules if name.startswith("gram.metrics")]:
        monkeypatch.delitem(sys.modules, name)
    assert run(data, tmp_path) == EXIT_ERROR
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("train: train.measure_every = 3 needs packages that are missing (")
    assert message.endswith("install them, or measure with pipeline.evaluate elsewhere and set it to 0")
