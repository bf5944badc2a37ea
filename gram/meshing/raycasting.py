"""Ray-triangle intersection (Embree, on the CPU)."""

from typing import NamedTuple

import numpy as np
import torch
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy import ndarray
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.shapes import Bool, Float, Int

_NONE = 2**32 - 1
"""Embree's triangle index of a miss."""


class MeshHits(NamedTuple):
    """First triangle on each ray; other values of misses are arbitrary."""

    hit: Bool[ndarray, " rays"]
    faces: Int[ndarray, " rays"]
    weights: Float[ndarray, "rays 3"]  # of the triangle's corners
    t: Float[ndarray, " rays"]  # distance in units of the direction's length


class MeshScene:
    """Acceleration structure of two-sided triangles."""

    def __init__(self, vertices: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"]) -> None:
        self._scene = EmbreeScene()
        # The scene refers to the triangles without keeping them.
        self._triangles = TriangleMesh(self._scene, vertices.astype(np.float32), faces.astype(np.int32))

    def intersect(self, origins: Float[ndarray, "rays 3"], directions: Float[ndarray, "rays 3"]) -> MeshHits:
        """First triangle hit by each ray."""
        rays = (np.ascontiguousarray(part, dtype=np.float32) for part in (origins, directions))
        result = self._scene.run(*rays, query="INTERSECT", output=True)
        faces, u, v = result["primID"].astype(np.int64), result["u"], result["v"]
        hit = (faces != -1) & (faces != _NONE)
        return MeshHits(hit, np.where(hit, faces, 0), np.stack([1 - u - v, u, v], axis=-1), result["tfar"])


def interpolate(
    values: Float[ndarray, "vertices d"], corners: Int[ndarray, "hits 3"], weights: Float[ndarray, "hits 3"]
) -> Float[ndarray, "hits d"]:
    """Interpolate vertex values by barycentric weights."""
    return np.einsum("hcd,hc->hd", values[corners], weights)


def mesh_depth(mesh: trimesh.Trimesh, rays: Rays) -> Float[Tensor, "*rays"]:
    """Distance along each ray to the first triangle, infinite for misses.

    Raises:
        ValueError: the mesh has no triangles.
    """
    if len(mesh.faces) == 0:
        raise ValueError("The mesh has no triangles; there is no distance to it.")
    origins, directions = (part.reshape(-1, 3).cpu().numpy() for part in rays)
    hits = MeshScene(mesh.vertices, mesh.faces).intersect(origins, directions)
    distances = torch.from_numpy(np.where(hits.hit, hits.t, np.inf).astype(np.float32))
    return distances.view(rays.origins.shape[:-1])
