"""Distance between a mesh and the true one: chamfer distance and F-score of the visible points of both.

Points are sampled uniformly on both surfaces. Points that no camera sees are excluded from both: true meshes
have insides and backs that images do not determine.
"""

import math
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy import ndarray
from torch import Tensor

from gram.geometry.cameras import look_at_origin
from gram.shapes import Bool, Float

POINTS = 20_000
"""Points sampled on each surface, before the visibility test."""
REACH = 1e-3
"""Tolerance of the visibility test, relative to the distance of the point from the camera."""


@dataclass(frozen=True, kw_only=True)
class SurfaceDistance:
    """Distance between two surfaces.

    Attributes:
        chamfer: mean distance from points of one surface to the nearest of the other, averaged over both
            directions; world units.
        precision: fraction of the reconstructed points within the threshold of the true surface.
        recall: fraction of the true points within the threshold of the reconstructed surface.
    """

    chamfer: float
    precision: float
    recall: float

    @property
    def f_score(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]."""
        total = self.precision + self.recall
        return 2.0 * self.precision * self.recall / total if total else 0.0


def visible_points(
    mesh: trimesh.Trimesh, poses: Float[Tensor, "views 2"], *, fov: float, count: int = POINTS, seed: int = 0
) -> Float[ndarray, "visible 3"]:
    """Sample `count` points uniformly on a surface and keep those that a camera sees.

    Args:
        mesh: mesh in world coordinates.
        poses: (pitch, yaw) of cameras on the unit sphere, radians.
        fov: angle between the outermost pixel centres, radians.
        count: number of points on the whole surface.
        seed: seed of the samples.

    Raises:
        ValueError: empty mesh.
    """
    if len(mesh.faces) == 0:
        raise ValueError("The mesh has no triangles; there are no points on it.")
    points = np.asarray(trimesh.sample.sample_surface(mesh, count, seed=seed)[0])
    visible = np.zeros(len(points), dtype=bool)
    for cam2world in look_at_origin(poses.double()).cpu().numpy():
        hidden = np.flatnonzero(~visible)
        visible[hidden] = _is_visible(mesh, cam2world, points[hidden], fov)
    return points[visible]


def compare_points(
    reconstructed: Float[ndarray, "reconstructed 3"], truth: Float[ndarray, "true 3"], *, threshold: float
) -> SurfaceDistance:
    """Distance between two surfaces, given by points on them.

    Two samples of one surface are not at distance 0, but about half the spacing of the points apart.

    Args:
        reconstructed: points on the reconstructed surface.
        truth: points on the true surface.
        threshold: maximum distance of points counted as correct, world units.

    Raises:
        ValueError: a surface has no points.

    Example:
        >>> plane = np.random.default_rng(0).random((1000, 3)) * [1.0, 1.0, 0.0]
        >>> distance = compare_points(plane + [0.0, 0.0, 0.1], plane, threshold=0.2)
        >>> round(distance.chamfer, 3), distance.f_score
        (0.1, 1.0)
    """
    from scipy.spatial import KDTree

    for name, points in (("reconstructed", reconstructed), ("true", truth)):
        if len(points) == 0:
            raise ValueError(f"The {name} surface has no points: no camera sees it.")
    # nearest neighbours in both directions
    to_truth, to_reconstructed = KDTree(truth).query(reconstructed)[0], KDTree(reconstructed).query(truth)[0]
    return SurfaceDistance(
        chamfer=float(to_truth.mean() + to_reconstructed.mean()) / 2.0,
        precision=float((to_truth <= threshold).mean()),
        recall=float((to_reconstructed <= threshold).mean()),
    )


def _is_visible(
    mesh: trimesh.Trimesh, cam2world: ndarray, points: Float[ndarray, "n 3"], fov: float
) -> Bool[ndarray, " n"]:
    """True for points on a mesh that lie inside a camera's image and are not occluded by the mesh."""
    # frustum test
    centre = cam2world[:3, 3]
    in_camera = (points - centre) @ cam2world[:3, :3]
    limit = -in_camera[:, 2:] * math.tan(fov / 2.0)
    within = (np.abs(in_camera[:, :2]) <= limit).all(1)
    # first hits of the rays to the points
    distance = np.linalg.norm(in_camera, axis=1)
    directions = (points - centre) / distance[:, None]
    origins = np.broadcast_to(centre, points.shape)
    hits, ray, _ = mesh.ray.intersects_location(origins[within], directions[within], multiple_hits=False)
    first = np.full(within.sum(), np.inf)
    first[ray] = np.linalg.norm(hits - centre, axis=1)
    visible = np.zeros(len(points), dtype=bool)
    visible[within] = first >= distance[within] * (1.0 - REACH)
    return visible
