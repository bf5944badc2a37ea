"""Writing data sets: complete or absent."""

import json

import numpy as np
import pytest
from conftest import FOV, make_images, write_dataset

from gram.data.format import DatasetError
from gram.data.reader import ImageDataset
from gram.data.writer import DatasetWriter


def test_layout_is_that_of_eg3d(dataset):
    path = dataset[0]
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    expected = [f"depth/00000/img{k:08d}.npy" for k in range(4)] + [
        f"images/00000/img{k:08d}.png" for k in range(4)
    ]
    assert files == sorted([*expected, "dataset.json", "meta.json"])
    labels = json.loads((path / "dataset.json").read_text())["labels"]
    assert [name for name, _ in labels] == [f"images/00000/img{k:08d}.png" for k in range(4)]
    assert {len(numbers) for _, numbers in labels} == {25}


def test_nothing_is_visible_before_finish(tmp_path):
    with DatasetWriter(tmp_path / "set", size=8, fov=FOV) as writer:
        writer.add(make_images(1, 8)[0], (1.5, 1.5), identity=0)
        assert not (tmp_path / "set").exists()


def test_failure_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match="stop"),
        DatasetWriter(tmp_path / "set", size=8, fov=FOV) as writer,
    ):
        writer.add(make_images(1, 8)[0], (1.5, 1.5), identity=0)
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_run_do_not_get_in(tmp_path):
    stray = tmp_path / ".set.partial" / "images" / "old.png"
    stray.parent.mkdir(parents=True)
    stray.write_text("old")
    write_dataset(tmp_path / "set")
    assert not list((tmp_path / "set").rglob("old.png"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_existing_data_set_is_kept_unless_told_otherwise(dataset):
    path, images, _ = dataset
    with pytest.raises(
        DatasetError, match=r"set exists; remove it, choose another path, or pass overwrite=True"
    ):
        DatasetWriter(path, size=8, fov=FOV)
    np.testing.assert_array_equal(ImageDataset(path)[0][0].permute(1, 2, 0).numpy(), images[0])


def test_overwriting_replaces_the_whole_folder(dataset):
    path, _, before = dataset
    (path / "note.txt").write_text("mine")
    images, after = write_dataset(path, seed=1, overwrite=True)
    np.testing.assert_array_equal(ImageDataset(path)[0][0].permute(1, 2, 0).numpy(), images[0])
    assert after.content_hash != before.content_hash
    assert [entry.name for entry in path.parent.iterdir()] == ["set"] and not (path / "note.txt").exists()


def test_failed_overwriting_keeps_the_old_data_set(dataset):
    path, _, meta = dataset
    with pytest.raises(RuntimeError), DatasetWriter(path, size=8, fov=FOV, overwrite=True) as writer:
        writer.add(make_images(1, 8)[0], (1.5, 1.5), identity=0)
        raise RuntimeError
    assert ImageDataset(path).compute_content_hash() == meta.content_hash


def test_image_of_another_size_is_refused(tmp_path):
    with (
        DatasetWriter(tmp_path / "set", size=8, fov=FOV) as writer,
        pytest.raises(DatasetError, match=r"image 0 is uint8 \(4, 4, 3\); expected uint8 \(8, 8, 3\)"),
    ):
        writer.add(make_images(1, 4)[0], (1.5, 1.5), identity=0)


def test_empty_data_set_is_refused(tmp_path):
    with (
        DatasetWriter(tmp_path / "set", size=8, fov=FOV) as writer,
        pytest.raises(DatasetError, match="no image was added"),
    ):
        writer.finish(kind="heads", near=0.9, far=1.1, background="plane", split="train", licence="CC0-1.0")


def test_stored_hash_is_that_of_the_files(dataset):
    path, _, meta = dataset
    assert ImageDataset(path).compute_content_hash() == meta.content_hash
