"""`validate`: look at every image of a data set before spending hours on it."""

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
"""How far a camera's axis may miss the origin before a warning, in units of its distance."""


BLOCK = 256
"""Images that are decoded together."""


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """What was found."""

    count: int
    size: int
    fov_degrees: float
    pose: dict[str, float]
    """Fitted prior: yaw_mean, yaw_std, pitch_mean, pitch_std, radians."""
    duplicates: list[tuple[str, str]]
    """Pairs of files with the same pixels: each later one with the first."""
    warnings: list[str]
    unreadable: list[str]
    """What is wrong with files that cannot be used."""
    changed: bool
    """Whether images or cameras are not those that meta.json was written for."""


def validate(path: str | os.PathLike[str]) -> DatasetReport:
    """Decode every image and check every camera of a data set.

    Raises:
        DatasetError: something makes the data set unusable.
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
    """Like `validate`, for a data set that is open at its files' own size: nothing is raised, all is told."""
    content, seen = ContentHash(), dict[bytes, str]()
    duplicates, unreadable = list[tuple[str, str]](), list[str]()
    for name, label, image in zip(dataset.names, dataset.labels, _decoded(dataset), strict=True):
        if isinstance(image, DatasetError):
            unreadable.append(str(image))
            continue
        content.add(image, label)
        first = seen.setdefault(sha256(image.tobytes()).digest(), name)
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
    """Every image (H, W, 3), or what is wrong with it or its depth, decoded by several threads."""

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
