"""Sampling noise as people ask for it: alone, and of a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from training_runs import run as train

from gram.rendering.samplers import SAMPLERS
from pipeline import noise
from pipeline.cli.command import main
from pipeline.evaluate import stage as evaluate

FILES = ("noise.png", "noise_crops.png")


def points_of(content: dict[str, Any]) -> set[tuple[str, int]]:
    return {(one["sampler"], one["points"]) for one in content["measured"]}


@pytest.fixture(scope="module")
def model(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("noise")
    assert train(data, folder, "train.steps=2") == 0
    return folder


def measure(data: list[str], model: Path, out: Path, *more: str) -> dict[str, Any]:
    quick = ["evaluate.at_initialisation=false", "evaluate.real_against_real=false", "tracking=none"]
    places = [f"paths.evaluate='{out}'", f"paths.checkpoints='{model}/kept'", f"model={model}/out/model"]
    assert main(evaluate.STAGE, evaluate.run, ["experiment=tiny", *data, *quick, *places, *more]) == 0
    return json.loads((out / "noise.json").read_text())


def test_alone_it_needs_no_model_and_measures_every_sampler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "SIZE", 8)
    arguments = ["experiment=tiny", f"paths.noise='{tmp_path}'", "evaluate.noise_points=[4,6]"]
    assert main(noise.STAGE, noise.run, arguments) == 0
    content = json.loads((tmp_path / "noise.json").read_text())["analytic"]
    assert points_of(content) == {(kind, n) for kind in SAMPLERS for n in (4, 6)} - {("hierarchical", 4)}
    (skipped,) = content["skipped"]
    assert "5 are needed" in skipped["why"]
    printed = capsys.readouterr()
    assert "hierarchical with 4 points: skipped" in printed.err
    for kind in SAMPLERS:
        assert kind in printed.out
    for name in FILES:
        assert np.asarray(Image.open(tmp_path / name)).std() > 0


def test_evaluate_measures_the_model_at_its_own_points_too_and_the_field_in_closed_form(
    data: list[str], model: Path, tmp_path: Path
) -> None:
    content = measure(data, model, tmp_path)
    own = content["trained"]["protocol"]["trained_with"]
    assert own == {"sampler": "manifold", "points": 5}
    assert points_of(content["trained"]) == {(kind, n) for kind in SAMPLERS for n in (5, 8)}
    assert points_of(content["analytic"]) == {(kind, n) for kind in SAMPLERS for n in (5, 8)}
    for field in content.values():
        for one in field["measured"]:
            assert (one["std"] > 0) == (one["sampler"] in ("stratified", "hierarchical"))
    for name in FILES:
        assert np.asarray(Image.open(tmp_path / name)).std() > 0


def test_switched_off_it_leaves_files_that_hold_nothing(data: list[str], model: Path, tmp_path: Path) -> None:
    assert measure(data, model, tmp_path, "evaluate.noise_views=0") == {}
    for name in FILES:
        assert np.asarray(Image.open(tmp_path / name)).min() == 255


@pytest.mark.parametrize("points", ["[]", "[6,1]"])
def test_points_that_no_sampler_takes_are_refused(points: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(noise.STAGE, noise.run, [f"evaluate.noise_points={points}"]) == 2
    assert "evaluate.noise_points" in capsys.readouterr().err
