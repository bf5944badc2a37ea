"""Camera poses, angles and data sets of a configuration."""

import math
from dataclasses import asdict

from gram.data.format import DatasetMeta
from gram.data.reader import ImageDataset
from gram.geometry.poses import GaussianPoses, SphericalPoses
from pipeline.config.schema import DataConfig
from pipeline.runtime.prepared import misfit

FOV_TOLERANCE = 0.01
"""Relative tolerance: intrinsics of labels are rounded, and some are between pixel borders."""
ASSUMED_FOV_DEGREES = 12.0
"""Field of view of images whose labels are not available yet."""


class MismatchError(ValueError):
    """Data set that differs from the configuration."""


def synthesis_poses(data: DataConfig) -> GaussianPoses | SphericalPoses:
    """Prior of camera poses in the configuration."""
    if data.poses == "spherical":
        return SphericalPoses()
    return GaussianPoses(yaw_std=data.yaw_std, pitch_std=data.pitch_std)


def training_poses(data: DataConfig, meta: DatasetMeta) -> GaussianPoses | SphericalPoses:
    """Prior of the camera poses of fakes: as configured, or fitted to the real images.

    Generated data with gaussian poses are fitted, too: the fit is closer to the actual poses.
    """
    stated = data.poses == "spherical" or (data.kind == "images" and data.poses == "gaussian")
    return synthesis_poses(data) if stated else GaussianPoses(**meta.pose)


def open_dataset(path: str, data: DataConfig) -> ImageDataset:
    """Open the prepared data set at `path`; MismatchError if it was prepared for another configuration."""
    dataset = ImageDataset(path)
    meta, kind = dataset.meta, "custom" if data.kind == "images" else data.kind
    for made, asked, options in (
        (_subject(meta.kind, meta.size), _subject(kind, data.size), "data.kind, data.size"),
        (_space(meta), _space(data), "data.near, data.far, data.background"),
    ):
        if made != asked:
            raise MismatchError(
                f"{path} holds {made}, but the configuration asks for {asked} ({options}): run "
                "python -m pipeline.prepare with the same arguments, or choose the matching data=PRESET"
            )
    require_field_of_view(path, meta, data)
    require_prepared(path, meta, data)
    return dataset


def require_prepared(path: str, meta: DatasetMeta, data: DataConfig, split: str = "train") -> None:
    """Refuse a split that was prepared with other options or images; one without a record passes."""
    if problem := misfit(path, meta, data, split):
        raise MismatchError(
            f"{problem}: run python -m pipeline.prepare with the same arguments, or use the options of its "
            "preparation"
        )


def require_field_of_view(path: str, meta: DatasetMeta, data: DataConfig) -> None:
    """Refuse images with another field of view than data.fov_degrees, if that is set."""
    labelled, stated = math.degrees(meta.fov), data.fov_degrees
    if stated is not None and not math.isclose(labelled, stated, rel_tol=FOV_TOLERANCE):
        remedy = "crop them to that angle, or use theirs: data.fov_degrees=null"
        if data.kind != "images":
            remedy = "run python -m pipeline.prepare with the same arguments"
        raise MismatchError(
            f"the images of {path} have a field of view of {labelled:.4g} degrees, "
            f"but data.fov_degrees = {stated:g}: {remedy}"
        )


def _subject(kind: str, size: int) -> str:
    return f"{kind} of {size} x {size} pixels"


def _space(of: DatasetMeta | DataConfig) -> str:
    return f"what lies between {of.near:g} and {of.far:g}, background {of.background}"


def shown_yaw(data: DataConfig, meta: DatasetMeta) -> float:
    """Yaw in radians to either side in images of turned heads: two standard deviations, or a full turn."""
    return math.pi if data.poses == "spherical" else 2.0 * meta.pose["yaw_std"]


def fov(data: DataConfig) -> float:
    """Field of view of generated images, radians."""
    assert data.fov_degrees is not None, "pipeline.config.checks refuses null"
    return math.radians(data.fov_degrees)


def planned_meta(data: DataConfig) -> DatasetMeta:
    """Metadata of the configured data set before it is prepared."""
    return DatasetMeta(
        kind="custom" if data.kind == "images" else data.kind,
        size=data.size,
        fov=math.radians(data.fov_degrees or ASSUMED_FOV_DEGREES),
        near=data.near,
        far=data.far,
        background=data.background,
        pose=asdict(GaussianPoses(yaw_std=data.yaw_std, pitch_std=data.pitch_std)),
        split="train",
        licence="unknown",
        seed=data.seed,
        content_hash="",
    )
