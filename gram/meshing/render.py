"""Rendering of meshes by ray casting on the CPU, without a window system or OpenGL."""

import math

import numpy as np
import torch
import trimesh
from numpy import ndarray
from torch import Tensor
from trimesh.visual import ColorVisuals

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.meshing.raycasting import MeshScene, interpolate
from gram.shapes import Float, Int, UInt8

CLAY = np.array([0.82, 0.80, 0.77])
LIGHT = np.array([-0.4, 0.6, 1.0])  # direction towards the light, in camera axes
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
    """Render images in the pixel convention of the generator.

    Args:
        mesh: surface in world coordinates.
        poses: (pitch, yaw) of cameras on the unit sphere, radians.
        size: image side in pixels, at least 2.
        fov: angle between the outermost pixel centres, radians.
        colored: use vertex colours without lighting, which radiance fields include; otherwise grey clay, lit
            from the camera's upper left.
        background: grey value in [0, 1] of the background.
        supersampling: rays along one side of a pixel.

    Raises:
        ValueError: the mesh is empty, or `colored` is set and it has no vertex colours.
    """
    if len(mesh.faces) == 0:
        raise ValueError("The mesh has no triangles; there is nothing to render.")
    colors = _vertex_colors(mesh) if colored else None
    scene = MeshScene(mesh.vertices, mesh.faces)
    fine = size * supersampling
    # sub-pixels tile the same square of the image plane as the pixels
    fine_fov = 2 * math.atan(math.tan(fov / 2) * (fine - 1) / (fine - supersampling))
    views = []
    for cam2world in look_at_origin(poses):
        rays = pixel_rays(cam2world[None], size=fine, fov=fine_fov)
        hit, faces, weights, _ = scene.intersect(rays.origins[0].numpy(), rays.directions[0].numpy())
        image = np.full((fine * fine, 3), background)
        image[hit] = _shade(mesh, colors, mesh.faces[faces[hit]], weights[hit], cam2world[:3, :3].numpy())
        blocks = image.reshape(size, supersampling, size, supersampling, 3).mean(axis=(1, 3))
        views.append(np.rint(blocks.clip(0, 1) * 255).astype(np.uint8))
    return np.stack(views)


def turntable_poses(
    count: int, *, swing: float | None = None, yaw: float = math.pi / 2, pitch: float = math.pi / 2
) -> Float[Tensor, "{count} 2"]:
    """Camera poses of a looping turntable video.

    Args:
        count: number of images.
        swing: amplitude of the oscillation around `yaw` (faces), radians; None for a full turn (cars).
        yaw: initial yaw; pi/2 is frontal.
        pitch: constant pitch; pi/2 is level, less looks down from above.
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
    """Vertex colours without lighting, or clay with directional and ambient light."""
    if colors is not None:
        return interpolate(colors, corners, weights)
    normals = interpolate(mesh.vertex_normals, corners, weights)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
    light = camera_axes @ (LIGHT / np.linalg.norm(LIGHT))
    return CLAY * (AMBIENT + (1 - AMBIENT) * (normals @ light).clip(0, 1))[:, None]
