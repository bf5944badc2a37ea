"""How far a mesh is from cameras."""

import numpy as np
import torch
import trimesh
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.meshing.raycasting import Target
from gram.shapes import Float


def mesh_depth(mesh: trimesh.Trimesh, rays: Rays) -> Float[Tensor, "*rays"]:
    """Distance along each ray to the first triangle; infinite where it meets none.

    Raises:
        ValueError: the mesh has no triangles.
    """
    if len(mesh.faces) == 0:
        raise ValueError("The mesh has no triangles; there is no distance to it.")
    origins, directions = (part.reshape(-1, 3).cpu().numpy() for part in rays)
    found = Target(mesh.vertices, mesh.faces).meet(origins, directions)
    distances = torch.from_numpy(np.where(found.hit, found.t, np.inf).astype(np.float32))
    return distances.view(rays.origins.shape[:-1])
