"""Bad files end a stage with one line that names them, in little time and memory, and nothing is changed."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from forked_stages import Ended, Stages, forked_stages
from hostile_cases import CASES, COMMANDS, Case

from gram.data.writer import DatasetWriter
from gram.model.folder import build_discriminator, build_generator, save_model
from pipeline.config import loader
from pipeline.runtime import build, scene

MADE_FROM = {"seed": 0, "data_hash": "a" * 64, "fingerprint": "f-0", "run": None, "images": 16, "steps": 4}
TINY = ["experiment=tiny", "tracking=none"]
PATHS = ("train_data", "test_data", "train", "checkpoints", "evaluate", "export", "report", "noise", "model")


def places(folder: Path) -> dict[str, str]:
    return {f"paths.{name}": str(folder / name) for name in PATHS}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    with forked_stages(tmp_path_factory.mktemp("stages")) as program:
        yield program


@pytest.fixture(scope="module")
def sound(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what stages leave and users have, all of it sound."""
    folder: Path = tmp_path_factory.mktemp("sound")
    given = [
        f"paths.{name}='{folder}/{name}'" for name in ("train_data", "test_data", "checkpoints", "train")
    ]
    given = ["experiment=tiny", "tracking=none", *given]
    assert stages.run("prepare", given).code == 0
    assert stages.run("train", [*given, "train.steps=4"]).code == 0
    tiny = loader.load(given)
    torch.manual_seed(0)
    settings = build.model_settings(tiny, scene.planned_meta(tiny.data))
    networks = build_generator(settings), build_discriminator(settings)
    save_model(folder / "model", *networks, {**settings, "made_from": MADE_FROM})
    write_pictures(folder / "pictures")
    (folder / "evaluate").mkdir()
    for name, content in (("metrics", {"fid": 1.0}), ("protocol", {"trained": {}})):
        (folder / f"evaluate/{name}.json").write_text(json.dumps(content))
    (folder / "export").mkdir()
    return folder


def write_pictures(path: Path) -> None:
    rng = np.random.default_rng(0)
    with DatasetWriter(path, size=16, fov=float(np.deg2rad(12.0))) as writer:
        for i in range(4):
            image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            writer.add(image, (1.5, 1.4 + 0.1 * i), identity=i, depth=np.ones((16, 16)))
        writer.finish(kind="custom", near=0.88, far=1.12, background="plane", split="train", licence="CC0")


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder; a training's lock names its process."""
    found = [path for path in sorted(folder.rglob("*")) if path.name != "lock"]
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            0 if path.is_dir() else path.lstat().st_mtime_ns,
        )
        for path in found
    }


def meet(case: Case, stages: Stages, folder: Path) -> Ended:
    command = COMMANDS[case.command]
    files = {option: str(folder / file) for option, file in command.files}
    return stages.run(command.stage, [*TINY, *command.arguments], places=places(folder) | files)


def test_there_are_enough_cases_and_none_is_there_twice() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 120


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace("\0", ""))
def test_a_hostile_file_ends_a_stage_with_one_line(
    case: Case, stages: Stages, sound: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sound, folder)
    case.make(folder)
    found = state(folder)
    ended = meet(case, stages, folder)
    stage = COMMANDS[case.command].stage
    assert ended.code in (1, 2), ended.said
    *before_it, error = ended.said.splitlines()
    assert all(line.startswith(f"{stage}: going on from step") for line in before_it), ended.said
    assert error.startswith(f"{stage}: ") and all(name in error for name in case.names), ended.said
    assert "Traceback" not in ended.said and " object at " not in ended.said
    assert state(folder) == found
