"""The contents of meta.json, labels and hashes."""

import dataclasses
import json
import math
from dataclasses import MISSING

import numpy as np
import pytest
import torch

from gram.data.format import (
    OPENCV_FROM_OPENGL,
    ContentHash,
    DatasetError,
    DatasetMeta,
    camera_label,
    fit_pose_prior,
    focal_from_fov,
    fov_from_focal,
)
from gram.geometry.cameras import look_at_origin

META = DatasetMeta(
    kind="heads",
    size=32,
    fov=0.2,
    near=0.88,
    far=1.12,
    background="plane",
    pose={"yaw_mean": 1.5, "yaw_std": 0.3, "pitch_mean": 1.5, "pitch_std": 0.1},
    split="train",
    licence="CC0-1.0",
    seed=0,
    content_hash="00",
)


def test_meta_survives_json():
    assert DatasetMeta.from_json(META.to_json()) == META


def test_what_it_was_prepared_with_survives_json_and_may_be_missing():
    made = dataclasses.replace(META, prepared={"size": 32, "content": None})
    assert DatasetMeta.from_json(made.to_json()) == made
    assert "prepared" not in META.to_json()


@pytest.mark.parametrize(
    "name", [field.name for field in dataclasses.fields(DatasetMeta) if field.default is MISSING]
)
def test_meta_names_a_missing_field(name):
    values = json.loads(META.to_json())
    del values[name]
    with pytest.raises(DatasetError, match=rf"meta.json lacks {name}; add them"):
        DatasetMeta.from_json(json.dumps(values))


def test_meta_says_that_json_is_broken():
    with pytest.raises(DatasetError, match=r"meta.json cannot be read \(it is no JSON: .* use defaults"):
        DatasetMeta.from_json(META.to_json()[:-5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"background": "sea"}, "background 'sea'; use 'plane' or 'white'"),
        ({"near": 2.0}, "near 2.0 and far 1.12; it needs 0 < near < far"),
        ({"near": 0.0}, "near is 0.0, not more than 0: delete the file to use defaults"),
        ({"fov": "wide"}, "fov is 'wide', not a number"),
        ({"size": 8.0}, "size is 8.0, not a whole number"),
        ({"seed": []}, "seed is a list of 0 items, not a whole number"),
        ({"pose": 3}, "pose is 3, not an object"),
        ({"pose": {"yaw_mean": 1.0}}, "pose: yaw_std is missing"),
        ({"pose": META.pose | {"yaw_std": math.inf}}, "pose.yaw_std is inf, not a finite number"),
        ({"pose": META.pose | {"roll": 1.0}}, "pose has 'roll', which is unknown"),
    ],
)
def test_meta_refuses_values_that_cannot_be(change, message):
    with pytest.raises(DatasetError, match=message):
        DatasetMeta.from_json(json.dumps(json.loads(META.to_json()) | change))


@pytest.mark.parametrize("size", [2, 8, 256])
def test_focal_and_fov_are_inverse(size):
    assert fov_from_focal(focal_from_fov(0.21, size), size) == pytest.approx(0.21, rel=1e-12)


def test_fov_spans_pixel_centres_and_focal_the_whole_image():
    # An image of two pixels: the border is twice as far from the middle as the centres are.
    assert 0.5 / focal_from_fov(0.21, 2) == pytest.approx(2 * np.tan(0.105), rel=1e-12)


def test_label_is_the_camera_of_gram_cameras_in_opencv_axes():
    label = np.array(camera_label((1.3, 2.0), 0.21, 16))
    expected = look_at_origin(torch.tensor([[1.3, 2.0]], dtype=torch.float64))[0].numpy()
    expected[:3, :3] *= OPENCV_FROM_OPENGL
    np.testing.assert_allclose(label[:16].reshape(4, 4), expected, atol=1e-12)
    forward = label[:16].reshape(4, 4)[:3, 2]
    np.testing.assert_allclose(forward, -expected[:3, 3], atol=1e-12)  # z looks at the origin
    np.testing.assert_allclose(
        label[16:].reshape(3, 3), [[label[16], 0, 0.5], [0, label[16], 0.5], [0, 0, 1]]
    )


def test_content_hash_depends_on_pixels_labels_and_order():
    a, b = np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)

    def digest(*items):
        content = ContentHash()
        for image, label in items:
            content.add(image, label)
        return content.hexdigest()

    reference = digest((a, [1.0]), (b, [2.0]))
    assert reference == digest((a.copy(), [1.0]), (b.copy(), [2.0]))
    others = [digest((b, [2.0]), (a, [1.0])), digest((a, [1.0]), (b, [2.5])), digest((a, [1.0]), (a, [2.0]))]
    assert len({reference, *others}) == 4


def test_pose_prior_of_normal_poses_is_recovered():
    rng = np.random.default_rng(0)
    poses = np.stack([rng.normal(1.5, 0.15, 20_000), rng.normal(1.6, 0.3, 20_000)], 1)
    prior = fit_pose_prior(poses)
    expected = {"pitch_mean": 1.5, "pitch_std": 0.15, "yaw_mean": 1.6, "yaw_std": 0.3}
    assert prior == pytest.approx(expected, abs=0.006)


def test_pose_prior_averages_yaw_across_the_seam():
    yaw = np.array([np.pi - 0.1, -np.pi + 0.1])
    prior = fit_pose_prior(np.stack([np.full(2, 1.5), yaw], 1))
    assert abs(prior["yaw_mean"]) == pytest.approx(np.pi)
    assert prior["yaw_std"] == pytest.approx(0.1)
