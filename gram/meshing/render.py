"""Pictures of a mesh from cameras around it, by ray casting on the CPU: no window system, no OpenGL."""

import math

import numpy as np
import torch
import trimesh
from numpy import ndarray
from torch import Tensor
from trimesh.visual import ColorVisuals

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.meshing.raycasting import Target, interpolate
from gram.shapes import Float, Int, UInt8

CLAY = np.array([0.82, 0.80, 0.77])
LIGHT = np.array([-0.4, 0.6, 1.0])  # direction towards it, in camera axes
AMBIENT = 0.18


def render_mesh(
    mesh: trimesh.Trimesh,
    poses: Float[Tensor, "views 2"],
    *,
    size: int,
    fov: float,
    colored: bool = False,
    background: float = 1.0,
    supersampling: int = 2,
) -> UInt8[ndarray, "views {size} {size} 3"]:
    """Pictures in the same pixel convention as the generator's renderings, so that they can be put side by
    side.

    Args:
        mesh: Surface in world coordinates.
        poses: (pitch, yaw) of cameras on the unit sphere, radians.
        size: Pixels along one side, at least 2.
        fov: Angle between the outermost pixel centres, radians.
        colored: Show the vertex colours as they are (a radiance field's colours are lit already); otherwise
            grey clay lit from the camera's upper left, which shows the shape.
        background: Grey value in [0, 1] where there is no surface.
        supersampling: Rays along one side of a pixel.

    Raises:
        ValueError: If the mesh is empty, or `colored` is asked for and it has no vertex colours.
    """
    if len(mesh.faces) == 0:
        raise ValueError("The mesh has no triangles; there is nothing to show.")
    colors = _vertex_colors(mesh) if colored else None
    target = Target(mesh.vertices, mesh.faces)
    fine = size * supersampling
    # Sub-pixels tile the same square of the image plane as the pixels that they belong to.
    fine_fov = 2 * math.atan(math.tan(fov / 2) * (fine - 1) / (fine - supersampling))
    views = []
    for cam2world in look_at_origin(poses):
        rays = pixel_rays(cam2world[None], size=fine, fov=fine_fov)
        hit, faces, weights, _ = target.meet(rays.origins[0].numpy(), rays.directions[0].numpy())
        picture = np.full((fine * fine, 3), background)
        picture[hit] = _shade(mesh, colors, mesh.faces[faces[hit]], weights[hit], cam2world[:3, :3].numpy())
        blocks = picture.reshape(size, supersampling, size, supersampling, 3).mean(axis=(1, 3))
        views.append(np.rint(blocks.clip(0, 1) * 255).astype(np.uint8))
    return np.stack(views)


def turntable_poses(
    count: int, *, swing: float | None = None, yaw: float = math.pi / 2, pitch: float = math.pi / 2
) -> Float[Tensor, "{count} 2"]:
    """Camera poses of an endless turntable: the last is one step before the first.

    Args:
        count: Number of pictures.
        swing: Turn to and fro by at most this angle from `yaw` (faces), radians; None goes round once (cars).
        yaw: Where it starts; pi/2 is the front.
        pitch: Constant; pi/2 is level, less looks down from above.
    """
    phase = torch.arange(count) * (2 * math.pi / count)
    turned = yaw + (phase if swing is None else swing * torch.sin(phase))
    return torch.stack([torch.full_like(turned, pitch), turned], dim=1)


def _vertex_colors(mesh: trimesh.Trimesh) -> Float[ndarray, "vertices 3"]:
    visual = mesh.visual
    if not isinstance(visual, ColorVisuals) or visual.kind != "vertex":
        raise ValueError(
            "The mesh has no vertex colours; colour it with color_vertices or pass colored=False."
        )
    return np.asarray(visual.vertex_colors)[:, :3] / 255.0


def _shade(
    mesh: trimesh.Trimesh,
    colors: Float[ndarray, "vertices 3"] | None,
    corners: Int[ndarray, "hits 3"],
    weights: Float[ndarray, "hits 3"],
    camera_axes: Float[ndarray, "3 3"],
) -> Float[ndarray, "hits 3"]:
    """Vertex colours as they are, or clay lit from the camera's upper left and a little from everywhere."""
    if colors is not None:
        return interpolate(colors, corners, weights)
    normals = interpolate(mesh.vertex_normals, corners, weights)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
    towards_light = camera_axes @ (LIGHT / np.linalg.norm(LIGHT))
    return CLAY * (AMBIENT + (1 - AMBIENT) * (normals @ towards_light).clip(0, 1))[:, None]
