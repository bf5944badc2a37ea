"""Camera frames and rays in NumPy, float64, with the conventions of `gram.geometry.cameras`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def dot(a: Array, b: Array) -> Array:
    """Dot products along a last axis of length 3; several times faster than a sum over it."""
    return np.asarray(a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2])


def cross(a: Array, b: Array) -> Array:
    """Cross products along the last axis."""
    (ax, ay, az), (bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -1)


def normalised(vectors: Array) -> Array:
    """Vectors scaled to unit length along the last axis; zero stays zero."""
    return vectors / np.maximum(np.sqrt(dot(vectors, vectors)), 1e-12)[..., None]


def camera_frame(pitch: float, yaw: float) -> tuple[Array, Array]:
    """Build the frame of a camera on the unit sphere that looks at the origin: centre (3,) and rotation
    (3, 3) with columns right, up, backward.
    """
    centre = np.array([np.sin(pitch) * np.cos(yaw), np.cos(pitch), np.sin(pitch) * np.sin(yaw)])
    right = normalised(np.cross(-centre, [0.0, 1.0, 0.0]))
    return centre, np.stack([right, np.cross(right, -centre), centre], 1)


def pixel_directions(rotation: Array, size: int, fov: float, supersampling: int = 1) -> Array:
    """Unit directions (size^2 * supersampling^2, 3): pixels row-major, the rays of a pixel consecutive.

    Args:
        rotation: (3, 3) camera-to-world rotation.
        size: image side in pixels, at least 2.
        fov: angle between the centres of opposite border pixels, radians.
        supersampling: rays along one side of a pixel, evenly spread over its square.
    """
    offsets = (np.arange(supersampling) + 0.5) / supersampling - 0.5
    grid = -1.0 + 2.0 / (size - 1) * (np.arange(size)[:, None] + offsets)  # (size, supersampling)
    x, y = grid[None, :, None, :], -grid[:, None, :, None]
    shape = (size, size, supersampling, supersampling)
    depth = np.full(shape, -1.0 / np.tan(fov / 2))
    local = np.stack([np.broadcast_to(x, shape), np.broadcast_to(y, shape), depth], -1).reshape(-1, 3)
    world = local[:, :1] * rotation[:, 0] + local[:, 1:2] * rotation[:, 1] + local[:, 2:] * rotation[:, 2]
    return normalised(world)
