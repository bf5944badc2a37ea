"""Every sampler trains, is measured and is exported by the stages, on one process and on two."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from gram.rendering.samplers import SAMPLERS
from pipeline.cli.command import main
from pipeline.config.loader import load
from pipeline.config.yaml_reading import PROJECT
from pipeline.evaluate import stage as evaluate
from pipeline.export import stage as export
from pipeline.runtime.build import sampler_settings
from pipeline.runtime.scene import planned_meta
from pipeline.train import stage as train

OPTIONS = ("experiment=tiny", "tracking=none", "train.threads=1", "train.steps=2", "export.layers=null")


def arguments(data: list[str], folder: Path, kind: str, *more: str) -> list[str]:
    places = [f"paths.{name}='{folder}/{name}'" for name in ("checkpoints", "train", "evaluate", "export")]
    return [*OPTIONS, f"sampler.kind={kind}", "sampler.points=6", *data, *places, *more]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_it_trains_is_measured_and_exported(data: list[str], tmp_path: Path, kind: str) -> None:
    given = arguments(data, tmp_path, kind)
    model = f"paths.model='{tmp_path}/train/model'"
    for stage in (train, evaluate, export):
        assert main(stage.STAGE, stage.run, [*given, model]) == 0
    protocol = json.loads((tmp_path / "evaluate/protocol.json").read_text())["trained"]
    assert protocol["points_per_ray"] == 6
    assert protocol["random_points"] == (kind in ("stratified", "hierarchical"))
    assert (tmp_path / "export/seed_0000.glb").stat().st_size > 1000
    settings = json.loads((tmp_path / "train/model/model.json").read_text())
    assert settings["sampler"]["kind"] == kind


@pytest.mark.parametrize("kind", ["hierarchical", "neusample"])
def test_two_processes_train_as_one(data: list[str], tmp_path: Path, kind: str) -> None:
    given = arguments(data, tmp_path / "one", kind)
    assert main(train.STAGE, train.run, given) == 0
    given = [*arguments(data, tmp_path / "two", kind), "train.launch.processes=2", "train.micro_batch=1"]
    command = [sys.executable, "-m", "pipeline.train", *given]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=240)
    one, two = (
        safetensors.torch.load_file(tmp_path / name / "train/model/generator.safetensors")
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert float((value - two[name]).abs().max()) < 1e-5, name


@pytest.mark.parametrize(("points", "delta"), [(24, 0.04), (6, 0.16)])
def test_more_surfaces_are_more_transparent(points: int, delta: float) -> None:
    config = load(["experiment=heads64", f"sampler.points={points}", "sampler.delta=null"])
    settings = sampler_settings(config, planned_meta(config.data))
    assert settings["delta"] == pytest.approx(delta)
    assert settings["levels"] == points - 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["sampler.kind=planes", "sampler.points=1"], "sampler.points = 1, but planes takes at least 2"),
        (["sampler.kind=hierarchical", "sampler.points=4"], "hierarchical takes at least 5"),
    ],
)
def test_too_few_points_are_refused_by_name(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train.STAGE, train.run, ["experiment=tiny", *given]) == 2
    assert message in capsys.readouterr().err
