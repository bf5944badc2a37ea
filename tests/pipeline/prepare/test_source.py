"""DVC prepares pictures of one's own again when they have changed, and leaves them where they are."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from clones import call, make_clone

from gram.data.reader import ImageDataset
from gram.data.writer import DatasetWriter
from pipeline import source
from pipeline.cli.command import main


def write_pictures(folder: Path, value: int) -> Path:
    with DatasetWriter(folder, size=16, fov=0.2, overwrite=True) as writer:
        for i in range(4):
            writer.add(np.full((16, 16, 3), value + i, np.uint8), (1.5, 1.4 + 0.1 * i), identity=i)
        writer.finish(kind="custom", near=0.88, far=1.12, background="plane", split="train", licence="")
    return folder


def make_zip(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def choose(clone: Path, path: Path | str) -> None:
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["preset"]["data"] = "images"
    params["data"] = {"path": str(path), "size": 16, "test_identities": 1}
    (clone / "params.yaml").write_text(yaml.safe_dump(params))


def ran(clone: Path) -> list[str]:
    lines = call(clone, "dvc", "repro", "prepare").splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage '")]


def darkest(clone: Path) -> int:
    return int(ImageDataset(clone / "data/train").load_images().min())


def test_changed_pictures_are_prepared_again_and_unchanged_ones_are_not(tmp_path: Path) -> None:
    clone = tmp_path / "project"
    make_clone(clone)
    write_pictures(clone / "photos", 10)
    choose(clone, "photos")
    assert ran(clone) == ["source", "prepare"]
    assert darkest(clone) == 10
    assert ran(clone) == []
    write_pictures(clone / "photos", 20)
    assert ran(clone) == ["source", "prepare"]
    assert darkest(clone) == 20
    choose(clone, make_zip(write_pictures(tmp_path / "other", 30), tmp_path / "own.zip"))
    assert ran(clone) == ["source", "prepare"]
    assert darkest(clone) == 30
    assert len(list((clone / "photos").rglob("*.png"))) == 4


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "photos", 10)
    return tmp_path


def make(*arguments: str) -> int:
    return main(source.STAGE, source.run, ["experiment=tiny", *arguments])


def test_the_link_follows_the_option(here: Path) -> None:
    link = here / "data/source"
    assert make() == 0
    assert link.read_text() == source.GENERATED
    for path in ("photos", str(here / "photos")):
        assert make("data=images", f"data.path='{path}'") == 0
        assert link.readlink() == Path("../photos"), "the project may be moved"
    assert make() == 0
    assert not link.is_symlink()


def test_what_is_not_its_own_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(here / "photos", here / "data/source")
    assert make("data=images", "data.path=data/source") == 0
    assert make("data=images", "data.path=photos") == 1
    assert "data/source is not the link that this stage makes: move it elsewhere" in capsys.readouterr().err
    assert make() == 1
    assert len(list((here / "data/source").rglob("*.png"))) == 4


def test_missing_pictures_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make("data=images", "data.path=gone") == 1
    assert "data.path = gone does not exist" in capsys.readouterr().err
    assert make("data=images") == 1
    assert "data.path is not set" in capsys.readouterr().err
    assert not (here / "data").exists()
