"""Stages that are ended at any moment leave the old output or the new one, and run again make the same."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_stages import Stages, loaded, moments

from pipeline.runtime import outputs

KILLS = 3
OUTPUTS = {
    "prepare": ["data/train", "data/test"],
    "export": ["runs/export"],
    "evaluate": ["runs/evaluate"],
    "report": ["runs/report.html"],
    "pack": ["models/mine"],
}
PLACES = {
    "train_data": "data/train", "test_data": "data/test", "checkpoints": "checkpoints", "train": "runs/train",
    "evaluate": "runs/evaluate", "export": "runs/export", "noise": "runs/noise", "report": "runs/report.html",
    "model": "runs/train/model",
}  # fmt: skip
SMALL = (
    "experiment=tiny", "tracking=none", "train.steps=1", "data.processes=1", "evaluate.images=8",
    "evaluate.at_initialisation=false", "evaluate.real_against_real=false", "evaluate.noise_views=0",
    "evaluate.noise_points=[2]", "export.between=1",
)  # fmt: skip
Tree = dict[str, str]


def arguments(folder: Path, stage: str) -> list[str]:
    to = ["--to", str(folder / "models/mine")] if stage == "pack" else []
    return [*SMALL, *(f"paths.{name}='{folder}/{place}'" for name, place in PLACES.items()), *to]


def tree(folder: Path, stage: str) -> list[Tree]:
    """Name -> hash of the files of each output; empty where there is none."""
    found = []
    for output in OUTPUTS[stage]:
        top = folder / output
        files = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        found.append({str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    return found


def make_older(folder: Path, stage: str) -> None:
    """Outputs as another run might have left them."""
    for output in OUTPUTS[stage]:
        for path in [folder / output, *(folder / output).rglob("*.json")]:
            if path.is_file() and not path.name.startswith("."):
                path.write_bytes(path.read_bytes() + b" ")


def beside(folder: Path, stage: str) -> list[str]:
    return sorted(path.name for output in OUTPUTS[stage] for path in (folder / output).parent.iterdir())


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    with loaded() as process:
        yield process


@pytest.fixture(scope="module")
def chain(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stages read."""
    folder: Path = tmp_path_factory.mktemp("chain")
    for stage in ("prepare", "train"):
        assert stages.run(stage, arguments(folder, stage)) == 0
    return folder


def ended_early(stages: Stages, folder: Path, stage: str, *, kills: int, seed: int = 0) -> int:
    """Kill a stage so many times and compare every time; returns how many of them did end it."""
    began = time.monotonic()
    assert stages.run(stage, arguments(folder, stage)) == 0
    seconds = time.monotonic() - began
    whole, around, ended = tree(folder, stage), beside(folder, stage), 0
    assert all(whole)
    for moment, sent in moments(0.8 * seconds, kills, seed=seed):
        if tree(folder, stage) == whole:
            make_older(folder, stage)
        older = tree(folder, stage)
        ended += stages.run(stage, arguments(folder, stage), after=moment, sent=sent) is None
        for one, old, new in zip(tree(folder, stage), older, whole, strict=True):
            assert one in (old, new), (moment, sent)
    assert stages.run(stage, arguments(folder, stage)) == 0
    assert tree(folder, stage) == whole
    assert beside(folder, stage) == around
    return ended


@pytest.mark.parametrize("stage", ["prepare", "export", "evaluate", "report", "pack"])
def test_whatever_ends_a_stage_the_next_run_gives_the_same_bytes(
    stages: Stages, chain: Path, stage: str
) -> None:
    assert ended_early(stages, chain, stage, kills=KILLS) > 0


def test_leftovers_of_killed_stages_are_all_gone(chain: Path) -> None:
    assert [path for path in chain.rglob("*") if ".partial" in path.name or ".lock" in path.name] == []
    assert outputs.require_run(chain / "runs/train") is None
