"""Reader of `dataset.json`: file names, cameras and identities, checked."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gram.data.file_names import resolve_files
from gram.data.format import DatasetError
from gram.data.storage import LABELS, Storage, partial_path
from gram.system import documents

Array = NDArray[np.float64]

FORM = '{"labels": [[file name, 25 numbers], ...]}'
IMAGES = (".png", ".jpg", ".jpeg")
MAX_BYTES = 2**29
"""Maximum size of dataset.json, enough for a million images."""
NUMBERS = 25
LARGEST = 10**6
"""Maximum magnitude of a number in a label."""
ORTHONORMAL_TOLERANCE = 1e-3
FOCAL_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Checked content of `dataset.json`."""

    names: list[str]
    numbers: Array
    """Numbers (N, 25) as stored."""
    identities: list[int] | None

    @property
    def cam2world(self) -> Array:
        """Camera-to-world matrices (N, 4, 4), OpenCV axes, in the units of the file."""
        return self.numbers[:, :16].reshape(-1, 4, 4)

    @property
    def focal(self) -> float:
        """Focal length in image widths, common to all images."""
        return float(np.median(self.numbers[:, 16]))


def read_labels(storage: Storage, path: Path) -> Labels:
    """Read and check `dataset.json`; DatasetError names the first problem."""
    images = {name for name in storage.names if name.lower().endswith(IMAGES)}
    if not storage.has(LABELS):
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
    labelled, numbers, identities = _parse(storage.read(LABELS, max_bytes=MAX_BYTES), path)
    names = resolve_files(labelled, storage, path)
    unlabelled = len(images.difference(names))
    if unlabelled:
        warnings.warn(
            f"{unlabelled} images in {path} have no label in dataset.json and are not used",
            UserWarning,
            stacklevel=3,
        )
    _check_cameras(names, numbers)
    return Labels(names=names, numbers=numbers, identities=identities)


def _parse(text: bytes, path: Path) -> tuple[list[str], Array, list[int] | None]:
    """Parse file names as written, label numbers (N, 25) and identities."""
    source = f"dataset.json in {path}"
    try:
        content = documents.parse(text, Any, source=source, remedy="write it again", max_bytes=MAX_BYTES)
    except documents.DocumentError as error:
        raise DatasetError(f"{source} is not of the form {FORM}: {error}") from error
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, list):
        raise DatasetError(f"{source} is not of the form {FORM}: it has no list of labels")
    if not labels:
        raise DatasetError(f"{source} lists no images; write one label an image")
    for i, label in enumerate(labels):
        if not isinstance(label, list) or len(label) != 2 or not isinstance(label[0], str):
            raise DatasetError(f"{source} is not of the form {FORM}: labels[{i}] is {documents.shown(label)}")
        if not _is_row(label[1]):
            raise DatasetError(
                f"{source}: the label of {documents.shown(label[0])} is not a list of {NUMBERS} numbers "
                "(16 of cam2world and 9 of intrinsics)"
            )
    numbers = _numbers([label[1] for label in labels], [label[0] for label in labels], source)
    return (
        [label[0] for label in labels],
        numbers,
        _identities(content.get("identities"), len(labels), source),
    )


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) == NUMBERS and all(type(x) in (int, float) for x in row)


def _numbers(rows: list[list[float]], names: list[str], source: str) -> Array:
    for name, row in zip(names, rows, strict=True):
        if not all(-LARGEST <= x <= LARGEST for x in row):
            worst = next(x for x in row if not -LARGEST <= x <= LARGEST)
            finite = isinstance(worst, int) or math.isfinite(worst)
            problem = f"beyond {LARGEST:,}" if finite else "that is not finite"
            raise DatasetError(
                f"{source}: the label of {documents.shown(name)} has a value {problem}: "
                f"{documents.shown(worst)}; write the camera in normalised units"
            )
    return np.array(rows, dtype=np.float64)


def _identities(values: Any, count: int, source: str) -> list[int] | None:
    if values is None:
        return None
    if not isinstance(values, list):
        raise DatasetError(
            f"{source}: identities is {documents.shown(values)}, not a list of numbers; drop it"
        )
    if len(values) != count:
        raise DatasetError(f"{source} has {count} labels but {len(values)} identities; write one an image")
    for i, value in enumerate(values):
        if type(value) is not int or abs(value) > documents.MAX_INTEGER:
            raise DatasetError(
                f"{source}: identities[{i}] is {documents.shown(value)}, not a whole number; number them"
            )
    return values


def _check_cameras(names: list[str], numbers: Array) -> None:
    """Require cameras that are rigid, away from the origin, and share one normalised field of view."""
    # rotations
    matrices = numbers[:, :16].reshape(-1, 4, 4)
    rotations = matrices[:, :3, :3]
    deviation = np.abs(np.einsum("nji,njk->nik", rotations, rotations) - np.eye(3)).max((1, 2))
    mirrored = np.linalg.det(rotations) < 0
    bad = np.flatnonzero((deviation > ORTHONORMAL_TOLERANCE) | mirrored)
    if len(bad):
        name, worst = names[bad[0]], deviation[bad[0]]
        fault = (
            "is mirrored (determinant -1)"
            if mirrored[bad[0]]
            else f"is not orthonormal: R^T R differs from 1 by {worst:.3g}"
        )
        raise DatasetError(
            f"the camera rotation of {name} {fault}; cam2world must be a rigid motion, row-major, OpenCV axes"
        )
    # centres
    if (np.linalg.norm(matrices[:, :3, 3], axis=1) < 1e-6).any():
        centre = names[int(np.linalg.norm(matrices[:, :3, 3], axis=1).argmin())]
        raise DatasetError(
            f"the camera of {centre} is at the origin; cameras must stand around it "
            "(is cam2world stored column-major?)"
        )
    # focal lengths
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
