"""Layered representation: radiance manifolds as textured surfaces, in a glTF file that any viewer opens.

Composited without lighting from back to front, the layers reproduce the model's image. The first layer may be
opaque and hides everything behind it; the others are blended by the alpha of their textures.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy import ndarray
from PIL import Image
from scipy.ndimage import maximum_filter
from torch import Tensor
from torch.nn.functional import grid_sample
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.meshing.files import replacing
from gram.meshing.raycasting import MeshScene, interpolate
from gram.shapes import Bool, Float, UInt8

UNLIT = "KHR_materials_unlit"


@dataclass(frozen=True, kw_only=True)
class ImageLayer:
    """Textured surface.

    Attributes:
        name: name of its node in the file.
        points: grid of vertices, world units, aligned with the texture from the centres of its first pixels
            to the centres of its last.
        texture: sRGB and straight (not premultiplied) alpha.
        opaque: ignore alpha, and hide everything behind.
    """

    name: str
    points: Float[ndarray, "rows columns 3"]
    texture: UInt8[ndarray, "height width 4"]
    opaque: bool = False


def write_layers(layers: Sequence[ImageLayer], path: str | Path) -> None:
    """Write binary glTF with a node per layer, in the given order, back to front.

    Raises:
        ValueError: no layers.
    """
    if not layers:
        raise ValueError("there are no layers to write; give at least one")
    scene = trimesh.Scene()
    for layer in layers:
        scene.add_geometry(as_mesh(layer), node_name=layer.name, geom_name=layer.name)
    content = export_glb(scene, include_normals=False, tree_postprocessor=_unlit)
    with replacing(path) as partial:
        partial.write_bytes(content)


def read_layers(path: str | Path) -> list[trimesh.Trimesh]:
    """Read the textured meshes of a file of layers, back to front."""
    scene = trimesh.load_scene(io.BytesIO(Path(path).read_bytes()), file_type="glb")
    return [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]


def as_mesh(layer: ImageLayer) -> trimesh.Trimesh:
    """Build a mesh of two triangles per grid cell, counter-clockwise if columns x rows faces the viewer.

    Cells that are transparent including their surroundings are omitted.
    """
    rows, columns, _ = layer.points.shape
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    quads = np.stack([np.stack([a, b, d], -1), np.stack([a, d, c], -1)], -2)  # (rows, columns, 2, 3)
    faces = quads[_visible(layer)].reshape(-1, 3)
    material = PBRMaterial(
        name=layer.name,
        baseColorTexture=Image.fromarray(layer.texture),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        alphaMode="OPAQUE" if layer.opaque else "BLEND",
    )
    visual = TextureVisuals(uv=_texture_coordinates(layer), material=material)
    mesh = trimesh.Trimesh(
        layer.points.reshape(-1, 3).astype(np.float32), faces, visual=visual, process=False
    )
    mesh.remove_unreferenced_vertices()
    return mesh


def _texture_coordinates(layer: ImageLayer) -> Float[ndarray, "vertices 2"]:
    """Texture coordinates of the vertices, origin at the lower left as in trimesh."""
    (rows, columns, _), (height, width, _) = layer.points.shape, layer.texture.shape
    u = (0.5 + (width - 1) * np.linspace(0, 1, columns)) / width
    v = 1.0 - (0.5 + (height - 1) * np.linspace(0, 1, rows)) / height
    return np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)


def _visible(layer: ImageLayer) -> Bool[ndarray, "rows columns"]:
    """Mask (rows - 1, columns - 1) of cells that are not transparent including their surroundings."""
    cells, pixels = np.array(layer.points.shape[:2]) - 1, np.array(layer.texture.shape[:2]) - 1
    around = maximum_filter(layer.texture[..., 3], size=tuple(2 * np.ceil(pixels / cells).astype(int) + 1))
    middles = [np.rint((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(cells, pixels, strict=True)]
    return (around[np.ix_(*middles)] > 0) | layer.opaque


def _unlit(tree: dict[str, Any]) -> None:
    tree["extensionsUsed"] = sorted({*tree.get("extensionsUsed", []), UNLIT})
    for material in tree["materials"]:
        material["extensions"] = {UNLIT: {}}


def draw_layers(
    meshes: Sequence[trimesh.Trimesh],
    poses: Float[Tensor, "views 2"],
    *,
    size: int,
    fov: float,
) -> Float[Tensor, "views 3 {size} {size}"]:
    """Render images in [-1, 1] in the pixel convention of the generator, on white.

    Args:
        meshes: textured meshes, back to front, see `gram.meshing.layers`.
        poses: (pitch, yaw) of cameras on the unit sphere, radians.
        size: image side in pixels.
        fov: angle between the outermost pixel centres, radians.
    """
    rays = pixel_rays(look_at_origin(poses), size=size, fov=fov)
    flat = rays.map(lambda part: part.reshape(-1, 3))
    color = torch.ones(len(flat.origins), 3)
    opaque_t = torch.full((len(color),), torch.inf)
    for mesh in meshes:
        hit, t, texels = _intersect(mesh, flat)
        opaque = _material(mesh).alphaMode == "OPAQUE"
        alpha = torch.ones_like(texels[:, 3:]) if opaque else texels[:, 3:]
        # blend over the layers behind, unless hidden by an opaque one
        nearer = t < opaque_t[hit]
        rows = hit[nearer]
        color[rows] = torch.lerp(color[rows], texels[nearer, :3], alpha[nearer])
        if opaque:
            opaque_t[rows] = t[nearer]
    return color.view(len(poses), size, size, 3).permute(0, 3, 1, 2) * 2.0 - 1.0


def _intersect(mesh: trimesh.Trimesh, rays: Rays) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the rays that hit the mesh, their distances, and texels there, RGBA in [0, 1]."""
    hits = MeshScene(mesh.vertices, mesh.faces).intersect(rays.origins.numpy(), rays.directions.numpy())
    hit = np.flatnonzero(hits.hit)
    corners, weights = mesh.faces[hits.faces[hit]], hits.weights[hit]
    points = torch.from_numpy(interpolate(mesh.vertices, corners, weights)).float()
    rows = torch.from_numpy(hit)
    visual = mesh.visual
    assert isinstance(visual, TextureVisuals) and visual.uv is not None
    texels = _look_up(_material(mesh), interpolate(visual.uv, corners, weights))
    return rows, (points - rays.origins[rows]).norm(dim=-1), texels


def _look_up(material: PBRMaterial, uv: Float[ndarray, "n 2"]) -> Float[Tensor, "n 4"]:
    """Sample the texture bilinearly, like a GPU."""
    assert material.baseColorTexture is not None
    texture = torch.from_numpy(np.array(material.baseColorTexture.convert("RGBA"))).float() / 255.0
    at = torch.from_numpy(uv).float() * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0])
    texels = grid_sample(
        texture.permute(2, 0, 1)[None], at[None, None], padding_mode="border", align_corners=False
    )
    return texels[0, :, 0].T


def _material(mesh: trimesh.Trimesh) -> PBRMaterial:
    visual = mesh.visual
    assert isinstance(visual, TextureVisuals) and isinstance(visual.material, PBRMaterial)
    return visual.material
