"""Data sets and cameras are those that the configuration states, or training does not start."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gram.data.reader import ImageDataset
from gram.data.writer import DatasetWriter
from gram.geometry.poses import GaussianPoses, SphericalPoses
from pipeline.config.loader import load
from pipeline.config.schema import DataConfig
from pipeline.runtime import scene

POSES = [(1.5, 1.2), (1.6, 1.9), (1.4, 1.5), (1.7, 1.7)]


def described(*arguments: str) -> DataConfig:
    return load(["experiment=tiny", "data=images", "data.path=own", *arguments]).data


@pytest.fixture
def prepared(tmp_path: Path) -> str:
    """Four pictures of 8 x 8 pixels, as the preset `images` makes them."""
    with DatasetWriter(tmp_path / "train", size=8, fov=math.radians(12)) as writer:
        for i, pose in enumerate(POSES):
            writer.add(np.full((8, 8, 3), i, np.uint8), pose, identity=i)
        writer.finish(kind="custom", near=0.88, far=1.12, background="plane", split="train", licence="")
    return str(tmp_path / "train")


@pytest.mark.parametrize("fov", ["null", "12", "11.95"])
def test_what_was_prepared_as_configured_is_opened(prepared: str, fov: str) -> None:
    assert len(scene.open_dataset(prepared, described("data.size=8", f"data.fov_degrees={fov}"))) == 4


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data.size=16", "holds custom of 8 x 8 pixels, but the configuration asks for custom of 16 x 16"),
        ("data.near=0.7", "what lies between 0.88 and 1.12, background plane, but .* between 0.7 and 1.12"),
        ("data.far=1.3", "asks for what lies between 0.88 and 1.3"),
        ("data.background=white", "asks for .* background white"),
        (
            "data.fov_degrees=30",
            "have a field of view of 12 degrees, but data.fov_degrees = 30: .* data.fov_degrees=null",
        ),
    ],
)
def test_what_was_prepared_otherwise_is_refused(prepared: str, argument: str, message: str) -> None:
    with pytest.raises(scene.MismatchError, match=message):
        scene.open_dataset(prepared, described("data.size=8", argument))


def test_fakes_of_ones_own_pictures_are_seen_as_stated_or_as_fitted(prepared: str) -> None:
    meta = ImageDataset(prepared).meta
    stated = described("data.poses=gaussian", "data.yaw_std=0.3", "data.pitch_std=0.155")
    assert scene.training_poses(stated, meta) == GaussianPoses(yaw_std=0.3, pitch_std=0.155)
    fitted = scene.training_poses(described("data.poses=fitted"), meta)
    assert isinstance(fitted, GaussianPoses)
    assert fitted.pitch_mean == pytest.approx(np.mean([pitch for pitch, _ in POSES]))
    assert scene.training_poses(described("data.poses=spherical"), meta) == SphericalPoses()


def test_fakes_of_generated_heads_are_seen_as_fitted(prepared: str) -> None:
    meta = ImageDataset(prepared).meta
    heads = replace(described(), kind="heads", poses="gaussian", yaw_std=0.3, pitch_std=0.155)
    assert scene.training_poses(heads, meta) == GaussianPoses(**meta.pose)
