"""`dataset.json`: file names and cameras, checked."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gram.data.format import DatasetError
from gram.data.storage import Storage, partial_path

Array = NDArray[np.float64]

NUMBERS = 25
ORTHONORMAL_TOLERANCE = 1e-3
FOCAL_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The checked contents of `dataset.json`."""

    names: list[str]
    numbers: Array
    """(N, 25) as stored."""
    identities: list[int] | None

    @property
    def cam2world(self) -> Array:
        """(N, 4, 4) camera-to-world matrices, OpenCV axes, in the units of the file."""
        return self.numbers[:, :16].reshape(-1, 4, 4)

    @property
    def focal(self) -> float:
        """Focal length in image widths, the same for all images."""
        return float(np.median(self.numbers[:, 16]))


def read_labels(storage: Storage, path: Path) -> Labels:
    """Read and check `dataset.json`; DatasetError names the first thing that is wrong."""
    images = {name for name in storage.names if name.lower().endswith((".png", ".jpg", ".jpeg"))}
    if "dataset.json" not in storage.names:
        if not storage.names:
            raise DatasetError(f"{path} is empty; make a data set with the prepare stage, or copy yours here")
        hint = (
            "it looks half-written"
            if path.suffix == ".partial" or partial_path(path).exists()
            else "cameras are missing"
        )
        raise DatasetError(
            f"{path} holds {len(images)} images but no dataset.json: {hint}; write it in the EG3D layout "
            '({"labels": [[file name, 25 numbers], ...]})'
        )
    names, numbers, identities = _parse(storage.read("dataset.json"), path)
    _check_files(names, images, path)
    _check_cameras(names, numbers)
    return Labels(names=names, numbers=numbers, identities=identities)


def _parse(text: bytes, path: Path) -> tuple[list[str], Array, list[int] | None]:
    """File names, label numbers (N, 25) and identities."""
    try:
        content = json.loads(text)
        labels = content["labels"]
        names = [str(label[0]).replace("\\", "/") for label in labels]
        rows = [label[1] for label in labels]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        form = '{"labels": [[file name, 25 numbers], ...]}'
        raise DatasetError(f"dataset.json in {path} is not of the form {form} ({error!r})") from error
    if not names:
        raise DatasetError(f"dataset.json in {path} lists no images; write one label an image")
    for name, row in zip(names, rows, strict=True):
        if (
            not isinstance(row, list)
            or len(row) != NUMBERS
            or not all(isinstance(x, int | float) for x in row)
        ):
            raise DatasetError(
                f"the label of {name} is not a list of {NUMBERS} numbers "
                "(16 of cam2world and 9 of intrinsics)"
            )
    identities = content.get("identities")
    if identities is not None and len(identities) != len(names):
        raise DatasetError(f"dataset.json in {path} has {len(names)} labels but {len(identities)} identities")
    return names, np.array(rows, dtype=np.float64), identities


def _check_files(names: list[str], images: set[str], path: Path) -> None:
    """Every label has its file, once."""
    missing = [name for name in names if name not in images]
    if missing:
        raise DatasetError(
            f"{len(missing)} of the {len(names)} images that dataset.json lists are missing in {path}, "
            f"the first is {missing[0]}: the data set is half-written or was moved incompletely; "
            "write it again"
        )
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise DatasetError(f"dataset.json in {path} lists {twice} more than once")
    unlabelled = len(images) - len(names)
    if unlabelled:
        warnings.warn(
            f"{unlabelled} images in {path} have no label in dataset.json and are not used",
            UserWarning,
            stacklevel=4,
        )


def _check_cameras(names: list[str], numbers: Array) -> None:
    """Cameras are finite, rigid, away from the origin, and share one field of view in normalised units."""
    matrices = numbers[:, :16].reshape(-1, 4, 4)
    bad = np.flatnonzero(~np.isfinite(numbers).all(1))
    if len(bad):
        raise DatasetError(f"the label of {names[bad[0]]} has a value that is not finite")
    rotations = matrices[:, :3, :3]
    deviation = np.abs(np.einsum("nji,njk->nik", rotations, rotations) - np.eye(3)).max((1, 2))
    mirrored = np.linalg.det(rotations) < 0
    bad = np.flatnonzero((deviation > ORTHONORMAL_TOLERANCE) | mirrored)
    if len(bad):
        name, worst = names[bad[0]], deviation[bad[0]]
        how = (
            "is mirrored (determinant -1)"
            if mirrored[bad[0]]
            else f"is not orthonormal: R^T R differs from 1 by {worst:.3g}"
        )
        raise DatasetError(
            f"the camera rotation of {name} {how}; cam2world must be a rigid motion, row-major, OpenCV axes"
        )
    if (np.linalg.norm(matrices[:, :3, 3], axis=1) < 1e-6).any():
        centre = names[int(np.linalg.norm(matrices[:, :3, 3], axis=1).argmin())]
        raise DatasetError(
            f"the camera of {centre} is at the origin; cameras must stand around it "
            "(is cam2world stored column-major?)"
        )
    focal = numbers[:, 16]
    if (focal <= 0).any() or (focal > 50).any():
        name = names[int(np.flatnonzero((focal <= 0) | (focal > 50))[0])]
        raise DatasetError(
            f"the focal length of {name} is {focal[names.index(name)]:g}; intrinsics must be normalised "
            "(divided by the image width)"
        )
    if np.ptp(focal) > FOCAL_TOLERANCE * np.median(focal):
        raise DatasetError(
            f"focal lengths range from {focal.min():.4g} to {focal.max():.4g}; all images need the same "
            "field of view: crop them alike"
        )
