"""Data sets remember what they were made with, and are not taken for others."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import training_runs

from gram.data.reader import ImageDataset
from gram.data.writer import DatasetWriter
from pipeline.cli.command import main
from pipeline.config.loader import load
from pipeline.config.schema import DataConfig
from pipeline.evaluate import stage as evaluate
from pipeline.prepare import stage as prepare
from pipeline.runtime import scene
from pipeline.runtime.prepared import CONTENT, content_of, differences, preparation
from pipeline.sweep.tune.datasets import DataSets

HEADS = ("experiment=tiny", "data.identities=3", "data.test_identities=1", "data.size=8", "data.views=2")
OTHERWISE = [
    "data.yaw_std=0.6",
    "data.pitch_std=0.3",
    "data.poses=spherical",
    "data.supersampling=1",
    "data.identities=4",
    "data.seed=1",
    "data.fov_degrees=12.05",  # within the tolerance for labels
]


def write_pictures(folder: Path, value: int) -> Path:
    with DatasetWriter(folder, size=8, fov=0.2) as writer:
        for i in range(4):
            writer.add(np.full((8, 8, 3), value + i, np.uint8), (1.5, 1.4 + 0.1 * i), identity=i)
        writer.finish(kind="custom", near=0.88, far=1.12, background="plane", split="train", licence="")
    return folder


def of_images(source: Path, *more: str) -> list[str]:
    own = ["experiment=tiny", "data=images", "data.size=8", "data.test_identities=1"]
    return [*own, f"data.path='{source}'", *more]


def prepared(folder: Path, *arguments: str) -> list[str]:
    paths = [f"paths.{name}_data='{folder}/{name}'" for name in ("train", "test")]
    assert main(prepare.STAGE, prepare.run, [*arguments, *paths]) == 0
    return paths


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return prepared(tmp_path_factory.mktemp("heads"), *HEADS)


@pytest.mark.parametrize("option", OTHERWISE)
def test_training_on_heads_that_were_prepared_otherwise_is_refused(
    heads: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*HEADS, *heads, option, f"paths.train='{tmp_path}/out'", f"paths.checkpoints='{tmp_path}/c'"]
    assert main(training_runs.train.STAGE, training_runs.train.run, given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    name, _, value = option.partition("=")
    assert re.search(
        rf"train was prepared with .*{name} = .*, not {value}.*: run python -m pipeline.prepare", line
    )
    assert not (tmp_path / "out").exists()


def test_what_pictures_do_not_depend_on_may_change(heads: list[str]) -> None:
    data = load([*HEADS, *heads, "data.processes=2", "data.views=3", "data.test_identities=2"])
    assert len(scene.open_dataset(data.paths.train_data, data.data)) == 3
    everywhere = replace(data.data, poses="spherical", yaw_std=9.0)
    assert "yaw_std" not in preparation(everywhere)


def test_every_option_of_the_data_is_recorded_or_known_not_to_matter(tmp_path: Path) -> None:
    heads = load(HEADS).data
    images = load(of_images(write_pictures(tmp_path / "own", 0))).data
    names = {
        name for data in (heads, images) for split in ("train", "test") for name in preparation(data, split)
    }
    assert names - {CONTENT} == set(DataConfig.__dataclass_fields__) - {"processes"}


def test_data_sets_of_earlier_versions_are_opened_as_before(heads: list[str], tmp_path: Path) -> None:
    config = load([*HEADS, *heads])
    old = tmp_path / "old"
    shutil.copytree(config.paths.train_data, old)
    values = json.loads((old / "meta.json").read_text())
    del values["prepared"]
    (old / "meta.json").write_text(json.dumps(values))
    assert len(scene.open_dataset(str(old), replace(config.data, yaw_std=0.6, seed=5))) == 3
    with pytest.raises(scene.MismatchError, match="holds heads of 8 x 8"):
        scene.open_dataset(str(old), replace(config.data, size=16))


def test_pictures_of_another_source_are_refused_and_the_same_ones_elsewhere_are_not(tmp_path: Path) -> None:
    own, other = write_pictures(tmp_path / "b/own", 0), write_pictures(tmp_path / "c/own", 100)
    config = load([*of_images(own), *prepared(tmp_path, *of_images(own))])
    train, data = config.paths.train_data, config.data
    assert len(scene.open_dataset(train, data)) == 3
    with pytest.raises(scene.MismatchError, match=r"prepared with other files in data\.path = own: run"):
        scene.open_dataset(train, replace(data, path=str(other)))
    shutil.copytree(own, tmp_path / "copy")
    assert len(scene.open_dataset(train, replace(data, path=str(tmp_path / "copy")))) == 3
    shutil.rmtree(own)  # on another machine, say
    assert len(scene.open_dataset(train, data)) == 3
    with pytest.raises(
        scene.MismatchError, match=r"data.path = own, not gone: run python -m pipeline.prepare"
    ):
        scene.open_dataset(train, replace(data, path="gone"))


def test_pictures_that_changed_since_are_refused(tmp_path: Path) -> None:
    own = write_pictures(tmp_path / "own", 0)
    config = load([*of_images(own), *prepared(tmp_path, *of_images(own))])
    image = next(own.rglob("*.png"))
    image.write_bytes(image.read_bytes() + b"x")
    with pytest.raises(scene.MismatchError, match=r"prepared with other files in data\.path = own: run"):
        scene.open_dataset(config.paths.train_data, config.data)


def test_evaluation_refuses_other_held_out_heads(
    heads: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_runs.run([*heads, *HEADS[1:]], tmp_path, "train.steps=1") == 0
    given = [
        *HEADS,
        *heads,
        "tracking=none",
        f"model='{tmp_path}/out/model'",
        f"paths.evaluate='{tmp_path}/e'",
    ]
    assert main(evaluate.STAGE, evaluate.run, [*given, "data.views=3"]) == 1
    assert "test was prepared with data.views = 2, not 3: run" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()


def test_a_record_tells_no_folder(tmp_path: Path) -> None:
    own = write_pictures(tmp_path / "secret/own", 0)
    prepared(tmp_path, *of_images(own))
    meta = ImageDataset(tmp_path / "train").meta
    assert meta.prepared is not None
    assert meta.prepared["path"] == "own"
    assert meta.prepared[CONTENT] == content_of(own)
    assert "secret" not in (tmp_path / "train/meta.json").read_text()


def test_differences_name_every_option() -> None:
    assert differences({"size": 8, "seed": 0}, {"size": 16, "seed": 1, "new": 3}) == [
        "data.size = 8, not 16",
        "data.seed = 0, not 1",
    ]
    assert differences(None, {"size": 16}) == []


def test_a_sweep_finds_that_the_projects_pictures_are_others(tmp_path: Path) -> None:
    own, other = write_pictures(tmp_path / "b/own", 0), write_pictures(tmp_path / "c/own", 100)
    paths = prepared(tmp_path, *of_images(own))
    sets = DataSets(tmp_path / "sweep", prepare.run)
    folders = [sets.paths(load([*of_images(source), *paths]))["train_data"] for source in (own, other)]
    assert folders[0] == str(tmp_path / "train")
    first, second = (ImageDataset(folder).load_images() for folder in folders)
    assert int(first.max()) < 100 <= int(second.min())
