"""Validation of data sets: decodes every image and checks every camera."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from gram.data.decoding import files_at_once
from gram.data.format import ContentHash, DatasetError, fit_pose_prior
from gram.data.reader import ImageDataset

AIM_TOLERANCE = 0.02
"""Distance from a camera's axis to the origin that causes a warning, relative to that of the camera."""
BLOCK = 256
"""Maximum number of images decoded at a time."""


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """Result of a validation."""

    count: int
    size: int
    fov_degrees: float
    pose: dict[str, float]
    """Fitted prior: yaw_mean, yaw_std, pitch_mean, pitch_std, radians."""
    duplicates: list[tuple[str, str]]
    """Pairs of files with the same pixels: the first one, and each later one."""
    warnings: list[str]
    unreadable: list[str]
    """Messages about unusable files."""
    changed: bool
    """True if images or cameras differ from those that meta.json was written for."""


def validate(path: str | os.PathLike[str]) -> DatasetReport:
    """Decode every image and check every camera of a data set.

    Raises:
        DatasetError: the data set is unusable.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        dataset = ImageDataset(path)
    report = examine(dataset)
    if report.unreadable:
        first, others = report.unreadable[0], len(report.unreadable) - 1
        raise DatasetError(first + (f"; and {others} more cannot be used" if others else ""))
    if report.changed:
        raise DatasetError(
            f"the images or cameras of {path} are not those that meta.json was written for; "
            "write the data set again"
        )
    notes = [str(warning.message) for warning in caught] + _copy_warnings(report.duplicates)
    return replace(report, warnings=notes + report.warnings)


def examine(dataset: ImageDataset) -> DatasetReport:
    """Validate a data set opened at the size of its files; errors are reported, not raised."""
    content, first_by_digest = ContentHash(), dict[bytes, str]()
    duplicates, unreadable = list[tuple[str, str]](), list[str]()
    for name, label, image in zip(dataset.names, dataset.labels, _decoded(dataset), strict=True):
        if isinstance(image, DatasetError):
            unreadable.append(str(image))
            continue
        content.add(image, label)
        first = first_by_digest.setdefault(sha256(image.tobytes()).digest(), name)
        if first != name:
            duplicates.append((first, name))
    meta = dataset.stored_meta
    return DatasetReport(
        count=len(dataset),
        size=dataset.size,
        fov_degrees=math.degrees(dataset.fov),
        pose=fit_pose_prior(dataset.poses.numpy()),
        duplicates=duplicates,
        warnings=_aim_warnings(dataset),
        unreadable=unreadable,
        changed=meta is not None and not unreadable and meta.content_hash != content.hexdigest(),
    )


def _decoded(dataset: ImageDataset) -> Iterator[NDArray[np.uint8] | DatasetError]:
    """Decode every image (H, W, 3), or the error of it or its depth, in several threads."""

    def decode(index: int) -> NDArray[np.uint8] | DatasetError:
        try:
            dataset.depth(index)
            return dataset[index][0].permute(1, 2, 0).numpy()
        except DatasetError as error:
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        block = min(BLOCK, files_at_once(dataset.size))
        for start in range(0, len(dataset), block):
            yield from threads.map(decode, range(start, min(start + block, len(dataset))))


def _copy_warnings(duplicates: list[tuple[str, str]]) -> list[str]:
    if not duplicates:
        return []
    first, copy = duplicates[0]
    return [f"{len(duplicates)} images are copies of others, for example {copy} of {first}"]


def _aim_warnings(dataset: ImageDataset) -> list[str]:
    """Warnings about cameras that do not look at the origin, which poses cannot describe."""
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
