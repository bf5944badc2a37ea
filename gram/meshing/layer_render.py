"""Pictures of layered surfaces as viewers draw them: one over the other, in the order of the file."""

from collections.abc import Sequence

import numpy as np
import torch
import trimesh
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import grid_sample
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.meshing.raycasting import Target, interpolate
from gram.shapes import Float


def draw_layers(
    meshes: Sequence[trimesh.Trimesh],
    poses: Float[Tensor, "views 2"],
    *,
    size: int,
    fov: float,
) -> Float[Tensor, "views 3 {size} {size}"]:
    """Images in [-1, 1] in the pixel convention of the generator, white where there is nothing.

    Args:
        meshes: textured, the hindmost first, see `gram.meshing.layers`.
        poses: (pitch, yaw) of cameras on the unit sphere, radians.
        size: pixels along one side.
        fov: angle between the outermost pixel centres, radians.
    """
    rays = pixel_rays(look_at_origin(poses), size=size, fov=fov)
    everything = Rays(*(part.reshape(-1, 3) for part in rays))
    color = torch.ones(len(everything.origins), 3)
    hidden_behind = torch.full((len(color),), torch.inf)
    for mesh in meshes:
        hit, t, texels = _meet(mesh, everything)
        opaque = _material(mesh).alphaMode == "OPAQUE"
        alpha = torch.ones_like(texels[:, 3:]) if opaque else texels[:, 3:]
        nearer = t < hidden_behind[hit]
        rows = hit[nearer]
        color[rows] = torch.lerp(color[rows], texels[nearer, :3], alpha[nearer])
        if opaque:
            hidden_behind[rows] = t[nearer]
    return color.view(len(poses), size, size, 3).permute(0, 3, 1, 2) * 2.0 - 1.0


def _meet(mesh: trimesh.Trimesh, rays: Rays) -> tuple[Tensor, Tensor, Tensor]:
    """Which rays meet the mesh, how far away, and its texture there, RGBA in [0, 1]."""
    found = Target(mesh.vertices, mesh.faces).meet(rays.origins.numpy(), rays.directions.numpy())
    hit = np.flatnonzero(found.hit)
    corners, weights = mesh.faces[found.faces[hit]], found.weights[hit]
    points = torch.from_numpy(interpolate(mesh.vertices, corners, weights)).float()
    rows = torch.from_numpy(hit)
    visual = mesh.visual
    assert isinstance(visual, TextureVisuals) and visual.uv is not None
    texels = _look_up(_material(mesh), interpolate(visual.uv, corners, weights))
    return rows, (points - rays.origins[rows]).norm(dim=-1), texels


def _look_up(material: PBRMaterial, uv: Float[ndarray, "n 2"]) -> Float[Tensor, "n 4"]:
    """Bilinear, as graphics cards do it."""
    assert material.baseColorTexture is not None
    picture = torch.from_numpy(np.array(material.baseColorTexture.convert("RGBA"))).float() / 255.0
    at = torch.from_numpy(uv).float() * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0])
    found = grid_sample(
        picture.permute(2, 0, 1)[None], at[None, None], padding_mode="border", align_corners=False
    )
    return found[0, :, 0].T


def _material(mesh: trimesh.Trimesh) -> PBRMaterial:
    visual = mesh.visual
    assert isinstance(visual, TextureVisuals) and isinstance(visual.material, PBRMaterial)
    return visual.material
