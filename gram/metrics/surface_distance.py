"""How far a mesh is from the true one: chamfer distance and F-score of what cameras see of both.

Points are spread evenly over both surfaces. Those that no camera sees are left out of both: true meshes have
insides and backs that no picture tells anything about, and a mesh from a picture has to end somewhere.
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
"""Points on each surface, before those that no camera sees are left out."""
REACH = 1e-3
"""A camera sees a point if its ray meets nothing else but within so much of it, relative to its distance."""


@dataclass(frozen=True, kw_only=True)
class SurfaceDistance:
    """How far two surfaces are from each other.

    Attributes:
        chamfer: mean distance of the points of each to the nearest of the other, the mean of both
            directions; world units.
        precision: share of the found points within the threshold of the true surface.
        recall: share of the true points within the threshold of the found surface.
    """

    chamfer: float
    precision: float
    recall: float

    @property
    def f_score(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]."""
        total = self.precision + self.recall
        return 2.0 * self.precision * self.recall / total if total else 0.0


def seen_points(
    mesh: trimesh.Trimesh, poses: Float[Tensor, "views 2"], *, fov: float, count: int = POINTS, seed: int = 0
) -> Float[ndarray, "seen 3"]:
    """The points of a surface that one of the cameras sees, of `count` that are spread evenly over it.

    Args:
        mesh: in world coordinates.
        poses: (pitch, yaw) of cameras on the unit sphere, radians.
        fov: of the cameras, between the outermost pixel centres, radians.
        count: points on all of the surface.
        seed: of where they lie.

    Raises:
        ValueError: the mesh is empty.
    """
    if len(mesh.faces) == 0:
        raise ValueError("The mesh has no triangles; there are no points on it.")
    points = np.asarray(trimesh.sample.sample_surface(mesh, count, seed=seed)[0])
    seen = np.zeros(len(points), dtype=bool)
    for cam2world in look_at_origin(poses.double()).cpu().numpy():
        hidden = np.flatnonzero(~seen)
        seen[hidden] = _sees(mesh, cam2world, points[hidden], fov)
    return points[seen]


def compare_points(
    found: Float[ndarray, "found 3"], truth: Float[ndarray, "true 3"], *, threshold: float
) -> SurfaceDistance:
    """Distances between two surfaces that points are spread over.

    Two samples of one surface are not at distance 0: a point is about half the spacing of the others away
    from the nearest of them.

    Args:
        found: points on one surface.
        truth: points on the true one.
        threshold: within which points count as right, world units.

    Raises:
        ValueError: one of the surfaces has no points.

    Example:
        >>> plane = np.random.default_rng(0).random((1000, 3)) * [1.0, 1.0, 0.0]
        >>> found = compare_points(plane + [0.0, 0.0, 0.1], plane, threshold=0.2)
        >>> round(found.chamfer, 3), found.f_score
        (0.1, 1.0)
    """
    from scipy.spatial import KDTree

    for name, points in (("found", found), ("true", truth)):
        if len(points) == 0:
            raise ValueError(f"The {name} surface has no points: no camera sees it.")
    to_truth, to_found = KDTree(truth).query(found)[0], KDTree(found).query(truth)[0]
    return SurfaceDistance(
        chamfer=float(to_truth.mean() + to_found.mean()) / 2.0,
        precision=float((to_truth <= threshold).mean()),
        recall=float((to_found <= threshold).mean()),
    )


def _sees(
    mesh: trimesh.Trimesh, cam2world: ndarray, points: Float[ndarray, "n 3"], fov: float
) -> Bool[ndarray, " n"]:
    """Whether points on a mesh lie within the picture of a camera, and nothing of it lies before them."""
    centre = cam2world[:3, 3]
    in_camera = (points - centre) @ cam2world[:3, :3]
    reach = -in_camera[:, 2:] * math.tan(fov / 2.0)
    within = (np.abs(in_camera[:, :2]) <= reach).all(1)
    distance = np.linalg.norm(in_camera, axis=1)
    directions = (points - centre) / distance[:, None]
    origins = np.broadcast_to(centre, points.shape)
    places, ray, _ = mesh.ray.intersects_location(origins[within], directions[within], multiple_hits=False)
    first = np.full(within.sum(), np.inf)
    first[ray] = np.linalg.norm(places - centre, axis=1)
    seen = np.zeros(len(points), dtype=bool)
    seen[within] = first >= distance[within] * (1.0 - REACH)
    return seen
