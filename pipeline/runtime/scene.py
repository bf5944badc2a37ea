"""From the configuration of the data to poses, angles and data sets."""

import math
from dataclasses import asdict

from gram.data.format import DatasetMeta
from gram.data.reader import ImageDataset
from gram.geometry.poses import GaussianPoses, SphericalPoses
from pipeline.config.schema import DataConfig
from pipeline.runtime.prepared import misfit

FOV_TOLERANCE = 0.01
"""Relative; intrinsics of labels are rounded, and some count from pixel border to pixel border."""


ASSUMED_FOV_DEGREES = 12.0
"""Of pictures whose labels will tell, before there are any."""


class MismatchError(ValueError):
    """A data set that is not the one that the configuration describes."""


def synthesis_poses(data: DataConfig) -> GaussianPoses | SphericalPoses:
    """Where the cameras stand as the configuration states it."""
    if data.poses == "spherical":
        return SphericalPoses()
    return GaussianPoses(yaw_std=data.yaw_std, pitch_std=data.pitch_std)


def training_poses(data: DataConfig, meta: DatasetMeta) -> GaussianPoses | SphericalPoses:
    """Where the cameras of fakes stand: as stated, or as those of the real pictures do.

    Generated pictures of gaussian poses count as fitted, too: the fit is closer to what is there.
    """
    stated = data.poses == "spherical" or (data.kind == "images" and data.poses == "gaussian")
    return synthesis_poses(data) if stated else GaussianPoses(**meta.pose)


def open_dataset(path: str, data: DataConfig) -> ImageDataset:
    """The prepared data set at `path`.

    Raises:
        DatasetError: it is missing or cannot be used.
        MismatchError: it was prepared for another configuration.
    """
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
    """Refuse a split that was prepared with other options than the configuration's, or of other pictures.

    Data sets that do not tell pass: those of earlier versions and of other programs.

    Raises:
        MismatchError: naming the options.
    """
    if problem := misfit(path, meta, data, split):
        raise MismatchError(
            f"{problem}: run python -m pipeline.prepare with the same arguments, or give those that it was "
            "prepared with"
        )


def require_field_of_view(path: str, meta: DatasetMeta, data: DataConfig) -> None:
    """Refuse pictures that are not seen at the angle that the configuration states, if it states one.

    Raises:
        MismatchError: naming both angles.
    """
    seen, stated = math.degrees(meta.fov), data.fov_degrees
    if stated is not None and not math.isclose(seen, stated, rel_tol=FOV_TOLERANCE):
        remedy = "crop them to that angle, or take theirs: data.fov_degrees=null"
        if data.kind != "images":
            remedy = "run python -m pipeline.prepare with the same arguments"
        raise MismatchError(
            f"the pictures of {path} are seen at {seen:.4g} degrees, "
            f"but data.fov_degrees = {stated:g}: {remedy}"
        )


def _subject(kind: str, size: int) -> str:
    return f"{kind} of {size} x {size} pixels"


def _space(of: DatasetMeta | DataConfig) -> str:
    return f"what lies between {of.near:g} and {of.far:g}, background {of.background}"


def shown_yaw(data: DataConfig, meta: DatasetMeta) -> float:
    """How far pictures turn a head or car to either side: two standard deviations, or once around."""
    return math.pi if data.poses == "spherical" else 2.0 * meta.pose["yaw_std"]


def fov(data: DataConfig) -> float:
    """Field of view of generated pictures, radians."""
    assert data.fov_degrees is not None, "pipeline.config.checks sees to it"
    return math.radians(data.fov_degrees)


def planned_meta(data: DataConfig) -> DatasetMeta:
    """What is known about the data set that the configuration asks for, before there is one."""
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
