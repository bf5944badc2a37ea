"""The full check of a data set."""

import json

import numpy as np
import pytest
from conftest import POSES, write_dataset
from PIL import Image

from gram.data.format import DatasetError
from gram.data.validate import validate


def test_good_data_set_gives_a_clean_report(dataset):
    report = validate(dataset[0])
    assert (report.count, report.size, report.duplicates, report.warnings) == (4, 8, [], [])
    assert report.fov_degrees == pytest.approx(12.0)
    assert report.pose["yaw_mean"] == pytest.approx(np.mean([yaw for _, yaw in POSES]), abs=1e-3)


def test_copies_are_found_with_their_original(dataset):
    path = dataset[0]
    (path / "meta.json").unlink()
    folder = path / "images" / "00000"
    (folder / "img00000003.png").write_bytes((folder / "img00000001.png").read_bytes())
    report = validate(path)
    assert report.duplicates == [("images/00000/img00000001.png", "images/00000/img00000003.png")]
    assert "1 images are copies of others" in report.warnings[0]


def test_changed_pixels_are_noticed(dataset):
    Image.new("RGB", (8, 8)).save(dataset[0] / "images" / "00000" / "img00000001.png")
    with pytest.raises(DatasetError, match=r"not those that meta.json was written for"):
        validate(dataset[0])


def test_cameras_that_look_past_the_origin_are_reported(dataset):
    path = dataset[0]
    (path / "meta.json").unlink()
    content = json.loads((path / "dataset.json").read_text())
    content["labels"][2][1][7] += 0.2  # raise one camera without turning it
    (path / "dataset.json").write_text(json.dumps(content))
    (note,) = validate(path).warnings
    assert "img00000002.png misses the origin by" in note


def test_equal_poses_appear_in_the_report(tmp_path):
    write_dataset(tmp_path / "set", poses=[(1.5, 1.5)] * 3)
    (note,) = validate(tmp_path / "set").warnings
    assert "same camera pose" in note


def test_broken_image_anywhere_is_found(dataset):
    (dataset[0] / "images" / "00000" / "img00000003.png").write_bytes(b"no png")
    with pytest.raises(DatasetError, match=r"img00000003.png .* cannot be decoded"):
        validate(dataset[0])


def test_depth_of_another_size_anywhere_is_found(dataset):
    np.save(dataset[0] / "depth/00000/img00000003.npy", np.zeros((8, 9), np.float16))
    with pytest.raises(DatasetError, match=r"img00000003.npy in .* holds float16 of shape \(8, 9\)"):
        validate(dataset[0])
