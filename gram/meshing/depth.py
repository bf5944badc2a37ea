"""How far a mesh is from cameras, by ray casting."""

import numpy as np
import torch
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from torch import Tensor

from gram.cameras import Rays
from gram.shapes import Float


def mesh_depth(mesh: trimesh.Trimesh, rays: Rays) -> Float[Tensor, "*rays"]:
    """Distance along each ray to the first triangle; infinite where it meets none.

    Raises:
        ValueError: the mesh has no triangles.
    """
    if len(mesh.faces) == 0:
        raise ValueError("The mesh has no triangles; there is no distance to it.")
    scene = EmbreeScene()
    geometry = TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
    origins, directions = (part.reshape(-1, 3).float().cpu().numpy().copy() for part in rays)
    found = scene.run(origins, directions, query="INTERSECT", output=True)
    del geometry  # the scene refers to it until here
    missed = found["primID"].astype(np.int64) == -1
    distances = torch.from_numpy(np.where(missed, np.inf, found["tfar"]).astype(np.float32))
    return distances.view(rays.origins.shape[:-1])
