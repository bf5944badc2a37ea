"""Data sets from a user's own pictures, and messages for what is wrong with them."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gram.data.reader import ImageDataset
from gram.data.writer import DatasetWriter
from pipeline.cli.command import main
from pipeline.prepare import stage as prepare

COUNT, SIZE = 6, 8


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder in the EG3D layout as other programs write it: no meta.json, no identities."""
    folder = tmp_path / "own"
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, size=SIZE, fov=0.2) as writer:
        for i in range(COUNT):
            pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            writer.add(pixels, (1.5 + 0.02 * i, 1.4 + 0.05 * i), identity=i)
        writer.finish(kind="custom", near=0.9, far=1.1, background="plane", split="train", licence="mine")
    (folder / "meta.json").unlink()
    labels = json.loads((folder / "dataset.json").read_text())["labels"]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


def run(own: Path, folder: Path, *more: str) -> int:
    paths = [f"paths.train_data='{folder}/train'", f"paths.test_data='{folder}/test'"]
    arguments = ["experiment=tiny", "data=images", f"data.path='{own}'", f"data.size={SIZE}"]
    return main(prepare.STAGE, prepare.run, [*arguments, "data.test_identities=2", *paths, *more])


def test_every_picture_and_camera_of_the_user_arrives_once(own: Path, tmp_path: Path) -> None:
    assert run(own, tmp_path) == 0
    source, train, test = (ImageDataset(path) for path in (own, tmp_path / "train", tmp_path / "test"))
    assert (len(train), len(test)) == (COUNT - 2, 2)
    given = {source[i][0].numpy().tobytes(): source[i][1].numpy() for i in range(COUNT)}
    for split in (train, test):
        for i in range(len(split)):
            pixels, pose = split[i]
            np.testing.assert_allclose(given.pop(pixels.numpy().tobytes()), pose.numpy(), atol=1e-6)
    assert given == {}
    assert train.meta.fov == pytest.approx(source.meta.fov, abs=1e-9)
    assert (train.meta.kind, train.meta.near, train.meta.far, train.meta.split) == (
        "custom",
        0.88,
        1.12,
        "train",
    )


def test_a_zip_gives_the_same_as_the_folder(own: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for path in own.rglob("*"):
            archive.write(path, path.relative_to(own))
    assert run(own, tmp_path / "a") == 0
    assert run(tmp_path / "own.zip", tmp_path / "b") == 0
    hashes = [ImageDataset(tmp_path / name / "train").content_hash for name in ("a", "b")]
    assert hashes[0] == hashes[1]


def test_larger_pictures_are_averaged_down(own: Path, tmp_path: Path) -> None:
    assert run(own, tmp_path, f"data.size={SIZE // 2}") == 0
    blocks = ImageDataset(own)[0][0].numpy().reshape(3, SIZE // 2, 2, SIZE // 2, 2)
    small = ImageDataset(tmp_path / "train")[0][0].numpy()
    np.testing.assert_array_equal(small, np.rint(blocks.astype(np.float64).mean((2, 4))).astype(np.uint8))


def test_running_again_replaces_the_data_set(own: Path, tmp_path: Path) -> None:
    assert run(own, tmp_path) == 0
    assert run(own, tmp_path, "data.test_identities=1") == 0
    assert len(ImageDataset(tmp_path / "train")) == COUNT - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "test", "train"]


def edit_labels(own: Path, change: Callable[[list], None]) -> None:
    content = json.loads((own / "dataset.json").read_text())
    change(content["labels"])
    (own / "dataset.json").write_text(json.dumps(content))


def first_image(own: Path) -> Path:
    return own / "images/00000/img00000000.png"


def skew(own: Path) -> None:
    def change(labels: list) -> None:
        labels[3][1][0] += 0.3

    edit_labels(own, change)


def point_to_a_missing_file(own: Path) -> None:
    def change(labels: list) -> None:
        labels[2][0] = "images/00000/nowhere.png"

    edit_labels(own, change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "own"),
        (lambda own: (shutil.rmtree(own), own.mkdir()), "own"),
        (lambda own: (own / "dataset.json").unlink(), "dataset.json"),
        (lambda own: (own / "dataset.json").write_text("{"), "dataset.json"),
        (lambda own: first_image(own).write_bytes(b"no picture"), "img00000000.png"),
        (lambda own: first_image(own).unlink(), "img00000000.png"),
        (point_to_a_missing_file, "nowhere.png"),
        (skew, "img00000003.png"),
    ],
    ids=[
        "missing",
        "empty",
        "no labels",
        "broken labels",
        "undecodable",
        "deleted",
        "label of nothing",
        "skewed",
    ],
)
def test_unusable_data_is_named_and_nothing_is_written(
    damage: Callable[[Path], object],
    message: str,
    own: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(own)
    assert run(own, tmp_path) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("prepare: ")
    assert message in error
    assert not (tmp_path / "train").exists()
    assert not (tmp_path / "test").exists()


def test_a_failed_run_leaves_the_old_data_set_alone(own: Path, tmp_path: Path) -> None:
    assert run(own, tmp_path) == 0
    before = ImageDataset(tmp_path / "train").content_hash
    first_image(own).write_bytes(b"no picture")
    assert run(own, tmp_path) == 1
    assert ImageDataset(tmp_path / "train").content_hash == before


def test_equal_poses_are_warned_about(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(labels: list) -> None:
        for label in labels:
            label[1] = labels[0][1]

    edit_labels(own, change)
    with pytest.warns(UserWarning, match="same camera pose"):
        assert run(own, tmp_path) == 0
    assert "prepare: warning: all 6 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data.path=null", "data.path is not set"),
        ("data.size=16", "no multiple of size 16"),
        ("data.test_identities=6", "has only 6: nothing would be left to train on"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_explained(
    argument: str, message: str, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(own, tmp_path, argument) == 1
    assert message in capsys.readouterr().err


def test_pictures_seen_at_another_angle_than_stated_are_refused_and_taken_on_request(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(own, tmp_path, "data.fov_degrees=12") == 1
    assert (
        "have a field of view of 11.46 degrees, but data.fov_degrees = 12: crop them"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "train").exists()
    assert run(own, tmp_path, "data.fov_degrees=null") == 0


def test_a_person_can_compare_the_poses_of_pictures_and_of_fakes(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(own, tmp_path, "data.poses=gaussian", "data.yaw_std=0.3", "data.pitch_std=0.155") == 0
    lines = capsys.readouterr().err.splitlines()
    assert "prepare: camera poses of the images: yaw 1.525 +- 0.085, pitch 1.550 +- 0.034 (radians)" in lines
    assert "prepare: camera poses of fakes: yaw 1.571 +- 0.300, pitch 1.571 +- 0.155 (radians)" in lines


def test_what_the_configuration_says_of_the_scene_is_what_is_written(own: Path, tmp_path: Path) -> None:
    scene = ["data.background=white", "data.near=0.7", "data.far=1.3", "data.poses=spherical"]
    assert run(own, tmp_path, *scene) == 0
    meta = ImageDataset(tmp_path / "train").meta
    assert (meta.background, meta.near, meta.far) == ("white", 0.7, 1.3)


def test_the_target_cannot_be_the_source(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(own, tmp_path, f"paths.train_data='{own}'") == 1
    assert "is where the prepared data goes" in capsys.readouterr().err
    assert len(ImageDataset(own)) == COUNT
