"""Reading data sets: what comes back, and what is said about everything that can be wrong."""

import copy
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FOV, POSES, write_dataset
from PIL import Image

from gram.data.format import DatasetError, camera_label, fov_from_focal
from gram.data.reader import ImageDataset


def edit_labels(path, change):
    """Apply a function to the list of labels of a data set."""
    content = json.loads((path / "dataset.json").read_text())
    content["labels"] = change(content["labels"])
    (path / "dataset.json").write_text(json.dumps(content))


def first_image(path):
    return path / "images" / "00000" / "img00000000.png"


def zipped(path):
    return Path(shutil.make_archive(str(path.with_name("packed")), "zip", path))


@pytest.mark.parametrize("pack", [lambda path: path, zipped], ids=["folder", "zip"])
def test_everything_written_comes_back(dataset, pack):
    path, images, meta = dataset
    read = ImageDataset(pack(path))
    assert len(read) == 4
    assert read.meta == meta
    assert read.content_hash == meta.content_hash
    assert read.identities == [0, 0, 1, 1]
    np.testing.assert_allclose(read.poses.numpy(), POSES, atol=1e-6)
    for k, image in enumerate(images):
        pixels, pose = read[k]
        np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), image)
        assert torch.equal(pose, read.poses[k])
        depth = read.depth(k)
        assert depth is not None
        np.testing.assert_array_equal(torch.isnan(depth).numpy(), np.eye(8) > 0)
        assert depth[0, 1] == np.float32(np.float16(1.0 + 0.01 * k))


def test_cameras_are_rigid_opengl_and_at_distance_one(dataset):
    cam2world = ImageDataset(dataset[0]).cam2world
    rotations, centres = cam2world[:, :3, :3], cam2world[:, :3, 3]
    torch.testing.assert_close(rotations.mT @ rotations, torch.eye(3).expand(4, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(
        rotations[:, :, 2], centres, atol=1e-6, rtol=0
    )  # backward is away from the origin


def test_load_images_stacks_all_items(dataset):
    read = ImageDataset(dataset[0])
    assert torch.equal(read.load_images(), torch.stack([read[k][0] for k in range(4)]))
    assert torch.equal(read.load_images([3, 0, 3]), torch.stack([read[k][0] for k in (3, 0, 3)]))


def test_smaller_size_averages_blocks_and_keeps_the_picture_border(dataset):
    path, images, meta = dataset
    read = ImageDataset(path, size=4)
    expected = np.rint(images[0].reshape(4, 2, 4, 2, 3).mean((1, 3)))
    np.testing.assert_array_equal(read[0][0].permute(1, 2, 0).numpy(), expected)
    assert read.meta.size == 4
    border_before, border_after = np.tan(meta.fov / 2) * 8 / 7, np.tan(read.meta.fov / 2) * 4 / 3
    assert border_after == pytest.approx(border_before, rel=1e-6)
    assert read.content_hash != meta.content_hash
    assert read.depth(0) is None


def test_foreign_data_set_needs_no_meta(dataset):
    path, _images, meta = dataset
    (path / "meta.json").unlink()

    def move_away(labels):
        for _, numbers in labels:
            for k in (3, 7, 11):  # the translation of cam2world
                numbers[k] *= 2.7
        return labels

    edit_labels(path, move_away)
    read = ImageDataset(path)
    torch.testing.assert_close(read.cam2world[:, :3, 3].norm(dim=1), torch.ones(4))
    np.testing.assert_allclose(read.poses.numpy(), POSES, atol=1e-6)
    assert read.meta.kind == "custom"
    assert read.meta.fov == pytest.approx(FOV, rel=1e-9)
    assert read.meta.pose == pytest.approx(meta.pose, abs=1e-6)
    assert len(read.content_hash) == 64 and read.content_hash != meta.content_hash


def test_content_hash_without_meta_is_the_one_that_was_stored(dataset):
    path, _, meta = dataset
    (path / "meta.json").unlink()
    assert ImageDataset(path).content_hash == meta.content_hash


def test_grey_and_transparent_images_become_rgb(dataset):
    path, _, _ = dataset
    Image.new("L", (8, 8), 77).save(first_image(path))
    assert (ImageDataset(path)[0][0] == 77).all()


@pytest.mark.parametrize("pack", [lambda path: path, zipped], ids=["folder", "zip"])
def test_survives_being_sent_to_a_worker(dataset, pack):
    read = ImageDataset(pack(dataset[0]))
    sent = copy.deepcopy(read)  # the protocol by which it reaches another process
    assert torch.equal(sent[1][0], read[1][0])


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no data set at .*nowhere; check the path, or make one"):
        ImageDataset(tmp_path / "nowhere")


def test_interrupted_run_is_recognised(tmp_path):
    (tmp_path / "set.partial").mkdir()
    with pytest.raises(
        DatasetError, match=r"set\.partial is left over from an interrupted run; run it again"
    ):
        ImageDataset(tmp_path / "set")


def test_empty_folder_is_called_empty(tmp_path):
    with pytest.raises(DatasetError, match=r"is empty; make a data set with the prepare stage"):
        ImageDataset(tmp_path)


def test_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "set.zip").write_text("no zip")
    with pytest.raises(DatasetError, match=r"neither a folder nor a zip archive"):
        ImageDataset(tmp_path / "set.zip")


def test_missing_labels_are_reported(dataset):
    (dataset[0] / "dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"holds 4 images but no dataset.json: cameras are missing"):
        ImageDataset(dataset[0])


def test_half_written_folder_is_called_so(dataset, tmp_path):
    (dataset[0] / "dataset.json").unlink()
    half = dataset[0].rename(tmp_path / "other.partial")
    with pytest.raises(DatasetError, match=r"it looks half-written"):
        ImageDataset(half)


def test_labels_of_missing_files_are_counted_and_named(dataset):
    first_image(dataset[0]).unlink()
    message = (
        r"1 of the 4 images that dataset.json lists are missing .* first is images/00000/img00000000.png"
    )
    with pytest.raises(DatasetError, match=message):
        ImageDataset(dataset[0])


def test_undecodable_image_is_named(dataset):
    path = dataset[0]
    (path / "images" / "00000" / "img00000002.png").write_bytes(first_image(path).read_bytes()[:60])
    read = ImageDataset(path)
    with pytest.raises(DatasetError, match=r"img00000002.png in .* cannot be decoded .*; replace the file"):
        read[2]


def test_text_with_the_name_of_an_image_is_named(dataset):
    first_image(dataset[0]).write_text("hello")
    with pytest.raises(DatasetError, match=r"img00000000.png in .* cannot be decoded"):
        ImageDataset(dataset[0])


def test_image_that_is_not_square_is_refused(dataset):
    Image.new("RGB", (8, 6)).save(first_image(dataset[0]))
    with pytest.raises(DatasetError, match=r"img00000000.png in .* is 8 x 6; images must be square"):
        ImageDataset(dataset[0])


def test_mixed_sizes_are_refused_with_both_names(dataset):
    path = dataset[0]
    Image.new("RGB", (16, 16)).save(path / "images" / "00000" / "img00000001.png")
    read = ImageDataset(path)
    with pytest.raises(
        DatasetError, match=r"img00000001.png has 16 pixels a side, but .*img00000000.png has 8"
    ):
        read.load_images()


@pytest.mark.parametrize("size", [3, 16, 1])
def test_size_that_does_not_divide_is_refused(dataset, size):
    with pytest.raises(
        DatasetError, match=rf"have 8 pixels a side, no multiple of size {size}; give a divisor of 8"
    ):
        ImageDataset(dataset[0], size=size)


def test_skewed_camera_is_named_with_its_deviation(dataset):
    def skew(labels):
        labels[2][1][0] += 0.1
        return labels

    edit_labels(dataset[0], skew)
    with pytest.raises(
        DatasetError,
        match=r"rotation of .*img00000002.png is not orthonormal: R\^T R differs from 1 by 0\.\d+",
    ):
        ImageDataset(dataset[0])


def test_mirrored_camera_is_named(dataset):
    def mirror(labels):
        for k in (0, 4, 8):
            labels[1][1][k] *= -1
        return labels

    edit_labels(dataset[0], mirror)
    with pytest.raises(DatasetError, match=r"rotation of .*img00000001.png is mirrored \(determinant -1\)"):
        ImageDataset(dataset[0])


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (3, float("nan"), "has a value that is not finite: nan; write the camera"),
        (3, float("-inf"), "has a value that is not finite: -inf"),
        (3, 1e300, "has a value beyond 1,000,000: 1e[+]300; write the camera in normalised units"),
        (3, 10**400, "has a value beyond 1,000,000: a whole number beyond 64 bits"),
        (3, True, "is not a list of 25 numbers"),
        (16, 512.0, "focal length of .* is 512; intrinsics must be normalised"),
        (16, -1.0, "focal length of .* is -1; intrinsics must be normalised"),
    ],
)
def test_impossible_label_is_refused(dataset, position, value, message):
    def spoil(labels):
        labels[3][1][position] = value
        return labels

    edit_labels(dataset[0], spoil)
    with pytest.raises(DatasetError, match=message):
        ImageDataset(dataset[0])


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (5, "identities is 5, not a list of numbers; drop it"),
        ({"a": 1}, "identities is an object of 1 item, not a list"),
        ([0, "a", 1, 1], r"identities\[1\] is 'a', not a whole number; number them"),
        ([0, 1.5, 1, 1], r"identities\[1\] is 1.5, not a whole number"),
        ([0, True, 1, 1], r"identities\[1\] is true, not a whole number"),
        ([0, 1, 1, 10**400], r"identities\[3\] is a whole number beyond 64 bits"),
    ],
)
def test_identities_that_are_no_numbers_are_refused(dataset, found, problem):
    file = dataset[0] / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"identities": found}))
    with pytest.raises(DatasetError, match=problem):
        ImageDataset(dataset[0])


def test_an_exchanged_image_is_found_when_all_are_read_for_training(dataset):
    path, images, _ = dataset
    image = images[2].copy()
    image[3, 3, 0] ^= 1
    Image.fromarray(image).save(path / "images/00000/img00000002.png")
    for size in (8, 4):
        read = ImageDataset(path, size=size)
        for look in (read.load_images, read.require_intact):
            with pytest.raises(DatasetError, match=r"not those that meta.json was written for; write"):
                look()
    edit_labels(path, lambda labels: labels)
    Image.fromarray(images[2]).save(path / "images/00000/img00000002.png", compress_level=0)
    assert len(ImageDataset(path).load_images()) == 4


def test_a_meta_of_another_size_is_refused(dataset):
    file = dataset[0] / "meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"size": 16}))
    with pytest.raises(
        DatasetError, match=r"meta.json in .* has size 16, but the images have 8 pixels a side"
    ):
        ImageDataset(dataset[0])


def test_camera_at_the_origin_is_refused(dataset):
    def centre(labels):
        for k in (3, 7, 11):
            labels[0][1][k] = 0.0
        return labels

    edit_labels(dataset[0], centre)
    with pytest.raises(DatasetError, match=r"camera of .*img00000000.png is at the origin"):
        ImageDataset(dataset[0])


def test_different_fields_of_view_are_refused(dataset):
    def zoom(labels):
        labels[0][1][16] *= 1.5
        return labels

    edit_labels(dataset[0], zoom)
    with pytest.raises(
        DatasetError, match=r"focal lengths range from .*; all images need the same field of view"
    ):
        ImageDataset(dataset[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: [], "lists no images"),
        (lambda labels: [[name, numbers[:16]] for name, numbers in labels], "is not a list of 25 numbers"),
        (lambda labels: [name for name, _ in labels], r"labels\[0\] is 'images/00000/img00000000.png'"),
        (
            lambda labels: [labels[0], labels[0], labels[1], labels[2]],
            "lists .*img00000000.png more than once",
        ),
        (lambda labels: None, r"is not of the form \{\"labels\""),
        (lambda labels: labels[:2], "has 2 labels but 4 identities"),
    ],
)
def test_malformed_labels_are_refused(dataset, change, message):
    edit_labels(dataset[0], change)
    with pytest.raises(DatasetError, match=message):
        ImageDataset(dataset[0])


def test_broken_json_is_refused(dataset):
    (dataset[0] / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"dataset.json in .* is not of the form"):
        ImageDataset(dataset[0])


def test_unlabelled_images_are_mentioned_and_left_out(dataset):
    Image.new("RGB", (8, 8)).save(dataset[0] / "images" / "extra.png")
    with pytest.warns(UserWarning, match=r"1 images in .* have no label in dataset.json and are not used"):
        assert len(ImageDataset(dataset[0])) == 4


def test_equal_poses_are_warned_about(tmp_path):
    write_dataset(tmp_path / "set", poses=[(1.5, 1.5)] * 3)
    with pytest.warns(UserWarning, match=r"all 3 images of .* have the same camera pose"):
        ImageDataset(tmp_path / "set")


def test_different_poses_are_not_warned_about(dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageDataset(dataset[0])


def test_label_of_a_camera_gives_the_field_of_view_back():
    assert fov_from_focal(camera_label((1.5, 1.5), FOV, 64)[16], 64) == pytest.approx(FOV, rel=1e-12)
