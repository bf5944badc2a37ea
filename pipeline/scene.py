"""From the configuration of the data to poses, angles and data sets."""

import math

from gram.data.format import DatasetMeta
from gram.data.reader import ImageDataset
from gram.poses import GaussianPoses, SphericalPoses
from pipeline.schema import DataConfig


class MismatchError(ValueError):
    """A data set that is not the one that the configuration describes."""


def synthesis_poses(data: DataConfig) -> GaussianPoses | SphericalPoses:
    """Where the cameras of generated pictures stand."""
    if data.poses == "spherical":
        return SphericalPoses()
    return GaussianPoses(yaw_std=data.yaw_std, pitch_std=data.pitch_std)


def training_poses(data: DataConfig, meta: DatasetMeta) -> GaussianPoses | SphericalPoses:
    """Where the cameras of fakes stand: as those of the real pictures do."""
    return SphericalPoses() if data.poses == "spherical" else GaussianPoses(**meta.pose)


def open_dataset(path: str, data: DataConfig) -> ImageDataset:
    """The prepared data set at `path`.

    Raises:
        DatasetError: it is missing or cannot be used.
        MismatchError: it was prepared for another configuration.
    """
    dataset = ImageDataset(path)
    kind = "custom" if data.kind == "images" else data.kind
    made = f"{dataset.meta.kind} of {dataset.meta.size} x {dataset.meta.size} pixels"
    if (dataset.meta.kind, dataset.meta.size) != (kind, data.size):
        raise MismatchError(
            f"{path} holds {made}, but the configuration asks for {kind} of {data.size} x {data.size}: "
            "run python -m pipeline.prepare with the same arguments, or choose the matching data=PRESET"
        )
    return dataset


def shown_yaw(data: DataConfig, meta: DatasetMeta) -> float:
    """How far pictures turn a head or car to either side: two standard deviations, or once around."""
    return math.pi if data.poses == "spherical" else 2.0 * meta.pose["yaw_std"]


def fov(data: DataConfig) -> float:
    """Field of view of generated pictures, radians."""
    return math.radians(data.fov_degrees)
