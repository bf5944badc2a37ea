"""Data set format: `meta.json`, and cameras in the layout of EG3D's `dataset.json`.

A data set is a folder (or a zip of one) of PNG images and

- `dataset.json`: {"labels": [[file name, 25 numbers], ...]}: cam2world (4 x 4, row-major, OpenCV axes: x
  right, y down, z forward) and normalised intrinsics (3 x 3), as in EG3D; optionally "identities", one
  number per image;
- `depth/.../*.npy`, optional: float16 distance along the ray through each pixel's centre, NaN for background;
- `meta.json`, optional: `DatasetMeta`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from hashlib import sha256
from typing import Annotated, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from gram.data.cameras import camera_frame
from gram.system import documents
from gram.system.documents import Bounds

Array = NDArray[np.float64]

OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])
"""Signs of the camera axes between OpenGL (x right, y up, z backward) and OpenCV (y down, z forward)."""


class DatasetError(ValueError):
    """Unusable data set; the message says what is wrong and what to do."""


REMEDY = "delete the file to use defaults"
Angle = Annotated[float, Bounds(low=-10.0, high=10.0)]
Deviation = Annotated[float, Bounds(low=0.0, high=10.0)]
Length = Annotated[float, Bounds(above=0.0, high=1e3)]
Words = Annotated[str, Bounds(high=4096)]


class _Pose(TypedDict):
    yaw_mean: Angle
    yaw_std: Deviation
    pitch_mean: Angle
    pitch_std: Deviation


@dataclass(frozen=True, kw_only=True)
class DatasetMeta:
    """Content of `meta.json`."""

    kind: Words
    """Kind of object: 'heads', 'cars' or 'custom'."""
    size: Annotated[int, Bounds(low=2, high=2**16)]
    """Image side in pixels."""
    fov: Annotated[float, Bounds(above=0.0, high=math.pi)]
    """Angle between the centres of opposite border pixels, radians."""
    near: Length
    far: Length
    """Range of distances along rays that contains all visible surfaces."""
    background: str
    """Kind of background: 'plane' (a wall at z = -0.12) or 'white'."""
    pose: dict[str, float]
    """Normal prior fitted to the poses: yaw_mean, yaw_std, pitch_mean, pitch_std, radians."""
    split: Words
    licence: Words
    seed: int | None
    content_hash: Annotated[str, Bounds(high=64)]
    """SHA-256 of the decoded pixels and the labels, see `ContentHash`."""
    prepared: dict[str, Any] | None = None
    """Options of its preparation; None if not recorded."""

    def to_json(self) -> str:
        """Text of `meta.json`."""
        values = asdict(self)
        if self.prepared is None:
            del values["prepared"]
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str = "meta.json") -> DatasetMeta:
        """Parse `meta.json`; `source` names it in messages.

        Raises:
            DatasetError: invalid JSON, or a field is missing or of the wrong type or size.
        """
        content = text.encode() if isinstance(text, str) else text
        try:
            values = documents.parse(content, dict[str, Any], source=source, remedy=REMEDY)
            names = {field.name for field in fields(cls) if field.default is MISSING}
            missing = sorted(names - set(values))
            if missing:
                raise DatasetError(f"{source} lacks {', '.join(missing)}; add them, or {REMEDY}")
            meta: DatasetMeta = documents.check(values, cls, source=source, remedy=REMEDY)
            documents.check(meta.pose, _Pose, source=f"{source}, pose", remedy=REMEDY)
        except documents.DocumentError as error:
            raise DatasetError(str(error)) from error
        if unknown := sorted(set(meta.pose) - set(_Pose.__annotations__)):
            raise DatasetError(
                f"{source}: pose has {documents.shown(unknown[0])}, which is unknown: {REMEDY}"
            )
        if meta.background not in ("plane", "white"):
            raise DatasetError(f"{source} has background {meta.background!r}; use 'plane' or 'white'")
        if not meta.near < meta.far:
            raise DatasetError(f"{source} has near {meta.near} and far {meta.far}; it needs 0 < near < far")
        return meta


class ContentHash:
    """SHA-256 of decoded images and labels in order, independent of PNG compression."""

    def __init__(self) -> None:
        self._digest = sha256()

    def add(self, image: NDArray[np.uint8], label: Iterable[float]) -> None:
        """Add an image (H, W, 3) and its 25 label numbers (rounded to float32)."""
        self._digest.update(np.asarray(image.shape, "<i4").tobytes())
        self._digest.update(np.ascontiguousarray(image).tobytes())
        self._digest.update(np.asarray(list(label), "<f4").tobytes())

    def hexdigest(self) -> str:
        """Hash of the images added so far, 64 hexadecimal digits."""
        return self._digest.hexdigest()


def camera_label(pose: tuple[float, float], fov: float, size: int) -> list[float]:
    """Build the 25 numbers of `dataset.json` for a camera on the unit sphere that looks at the origin.

    Args:
        pose: (pitch, yaw), radians.
        fov: angle between the centres of opposite border pixels, radians.
        size: image side in pixels.
    """
    centre, rotation = camera_frame(*pose)
    cam2world = np.eye(4)
    cam2world[:3, :3] = rotation * OPENCV_FROM_OPENGL
    cam2world[:3, 3] = centre
    focal = focal_from_fov(fov, size)
    intrinsics = [focal, 0.0, 0.5, 0.0, focal, 0.5, 0.0, 0.0, 1.0]
    return [float(x) for x in cam2world.ravel()] + intrinsics


def focal_from_fov(fov: float, size: int) -> float:
    """Focal length in image widths (border to border) of a field of view between pixel centres."""
    return 0.5 * (size - 1) / (size * math.tan(fov / 2))


def fov_from_focal(focal: float, size: int) -> float:
    """Field of view between opposite border pixel centres, radians; the inverse of `focal_from_fov`."""
    return 2.0 * math.atan(0.5 * (size - 1) / (size * focal))


def fit_pose_prior(poses: NDArray[np.floating]) -> dict[str, float]:
    """Mean and standard deviation of (pitch, yaw) (N, 2), radians; yaw is averaged on the circle.

    The mean of yaw lies in [-pi/2, 3 pi/2], like yaws.
    """
    pitch, yaw = np.asarray(poses, np.float64).T
    yaw_mean = math.atan2(float(np.sin(yaw).mean()), float(np.cos(yaw).mean()))
    yaw_mean += 2 * math.pi if yaw_mean < -math.pi / 2 else 0.0
    around = (yaw - yaw_mean + np.pi) % (2 * np.pi) - np.pi
    return {
        "yaw_mean": yaw_mean,
        "yaw_std": float(np.sqrt((around**2).mean())),
        "pitch_mean": float(pitch.mean()),
        "pitch_std": float(pitch.std()),
    }
