"""Where rays meet triangles (Embree, on the CPU)."""

from typing import NamedTuple

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy import ndarray

from gram.shapes import Bool, Float, Int

_NONE = 2**32 - 1
"""What Embree calls the triangle of a ray that meets none."""


class Hits(NamedTuple):
    """The first triangle on each ray; where `hit` is false the rest means nothing."""

    hit: Bool[ndarray, " rays"]
    faces: Int[ndarray, " rays"]
    weights: Float[ndarray, "rays 3"]  # of the triangle's corners
    t: Float[ndarray, " rays"]  # distance in lengths of the direction


class Target:
    """Triangles that rays are sent to, from either side."""

    def __init__(self, vertices: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"]) -> None:
        self._scene = EmbreeScene()
        # The scene refers to the triangles without keeping them.
        self._triangles = TriangleMesh(self._scene, vertices.astype(np.float32), faces.astype(np.int32))

    def meet(self, origins: Float[ndarray, "rays 3"], directions: Float[ndarray, "rays 3"]) -> Hits:
        """The first triangle that each ray meets."""
        lines = (np.ascontiguousarray(part, dtype=np.float32) for part in (origins, directions))
        found = self._scene.run(*lines, query="INTERSECT", output=True)
        faces, u, v = found["primID"].astype(np.int64), found["u"], found["v"]
        hit = (faces != -1) & (faces != _NONE)
        return Hits(hit, np.where(hit, faces, 0), np.stack([1 - u - v, u, v], axis=-1), found["tfar"])


def interpolate(
    values: Float[ndarray, "vertices d"], corners: Int[ndarray, "hits 3"], weights: Float[ndarray, "hits 3"]
) -> Float[ndarray, "hits d"]:
    """Values of corners anywhere on their triangles."""
    return np.einsum("hcd,hc->hd", values[corners], weights)
