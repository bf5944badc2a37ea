"""`validate`: look at every image of a data set before spending hours on it."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch

from gram.data.format import DatasetError, fit_pose_prior
from gram.data.reader import ImageDataset

AIM_TOLERANCE = 0.02
"""How far a camera's axis may miss the origin before a warning, in units of its distance."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `validate` found."""

    count: int
    size: int
    fov_degrees: float
    pose: dict[str, float]
    """Fitted prior: yaw_mean, yaw_std, pitch_mean, pitch_std, radians."""
    duplicates: list[tuple[str, str]]
    """Pairs of files with the same pixels: each later one with the first."""
    warnings: list[str]


def validate(path: str | os.PathLike[str]) -> Report:
    """Decode every image and check every camera of a data set.

    Raises:
        DatasetError: something makes the data set unusable.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        dataset = ImageDataset(path)
    notes = [str(warning.message) for warning in caught]
    seen: dict[bytes, str] = {}
    duplicates = []
    for index, name in enumerate(dataset.names):
        digest = sha256(dataset[index][0].numpy().tobytes()).digest()
        if digest in seen:
            duplicates.append((seen[digest], name))
        seen.setdefault(digest, name)
    if duplicates:
        notes.append(
            f"{len(duplicates)} images are copies of others, "
            f"for example {duplicates[0][1]} of {duplicates[0][0]}"
        )
    notes += _aim_warnings(dataset)
    if dataset.meta.content_hash != dataset.compute_content_hash():
        raise DatasetError(
            f"the images or cameras of {path} are not those that meta.json was written for; "
            "write the data set again"
        )
    return Report(
        count=len(dataset),
        size=dataset.size,
        fov_degrees=float(np.rad2deg(dataset.meta.fov)),
        pose=fit_pose_prior(dataset.poses.numpy()),
        duplicates=duplicates,
        warnings=notes,
    )


def _aim_warnings(dataset: ImageDataset) -> list[str]:
    """A note if cameras do not look at the origin, since poses describe only cameras that do."""
    centres, backward = dataset.cam2world[:, :3, 3], dataset.cam2world[:, :3, 2]
    miss = torch.linalg.cross(centres, backward).norm(dim=1)
    worst = int(miss.argmax())
    if miss[worst] <= AIM_TOLERANCE:
        return []
    return [
        f"the camera of {dataset.names[worst]} misses the origin by {float(miss[worst]):.3f} of its "
        "distance; "
        "training uses cameras that look at the origin, so the images will not fit exactly"
    ]
