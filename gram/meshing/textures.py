"""Textures of meshes: UV atlas and baking of colours."""

from typing import NamedTuple

import numpy as np
import torch
import trimesh
import xatlas
from numpy import ndarray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch.nn.functional import normalize
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from gram.meshing.colors import ColorField, field_colors
from gram.meshing.raycasting import MeshScene, interpolate
from gram.shapes import Bool, Float, Int, UInt8

GUTTER = 2
"""Texels between charts of the packed atlas."""
EXTENT = 1000.0
"""Largest side that meshes are scaled to before unwrapping."""
SMALLEST = 16
"""Minimum texture side, texels."""


class Atlas(NamedTuple):
    """Unwrapped mesh; `origin` is the vertex of the mesh of each vertex, repeated along seams."""

    origin: Int[ndarray, " vertices"]
    faces: Int[ndarray, "faces 3"]
    uv: Float[ndarray, "vertices 2"]  # in [0, 1], v upward


def bake_texture(mesh: trimesh.Trimesh, color_field: ColorField, *, size: int) -> trimesh.Trimesh:
    """Copy a mesh with a texture of the field's colours, viewed along the normals.

    Vertices on seams are duplicated, so the copy is only watertight after merging them; normals are those of
    the mesh.

    Args:
        mesh: surface in world coordinates.
        color_field: see `color_vertices`.
        size: texels along one side, at least 16.

    Raises:
        ValueError: the texture is too small, or values of the field are no colours.
    """
    if size < SMALLEST:
        raise ValueError(f"A texture of {size} x {size} texels is too small; take at least {SMALLEST}.")
    # points and normals of texels
    atlas = unwrap(mesh, size=size)
    texels, corners, weights = _texels(atlas, size)
    points = torch.from_numpy(interpolate(mesh.vertices, corners, weights)).float()
    normals = normalize(torch.from_numpy(interpolate(mesh.vertex_normals, corners, weights)).float(), dim=-1)
    # colours of covered texels, extended over the rest
    texture, covered = np.zeros((size * size, 3), dtype=np.uint8), np.zeros(size * size, dtype=bool)
    texture[texels], covered[texels] = field_colors(color_field, points, -normals), True
    image = Image.fromarray(_filled(texture.reshape(size, size, 3), covered.reshape(size, size)))
    material = PBRMaterial(name="surface", baseColorTexture=image, metallicFactor=0.0, roughnessFactor=1.0)
    textured = trimesh.Trimesh(
        mesh.vertices[atlas.origin], atlas.faces, vertex_normals=mesh.vertex_normals[atlas.origin],
        visual=TextureVisuals(uv=atlas.uv, material=material), process=False,
    )  # fmt: skip
    textured.metadata.update(mesh.metadata)
    return textured


def unwrap(mesh: trimesh.Trimesh, *, size: int) -> Atlas:
    """Unwrap a mesh into charts of little distortion, packed into a square of `size` texels (xatlas)."""
    # xatlas drops triangles with an area below 1e-7, which scaled meshes do not have
    positions = mesh.vertices * (EXTENT / mesh.extents.max())
    packed = xatlas.Atlas()
    packed.add_mesh(
        positions.astype(np.float32), mesh.faces.astype(np.uint32), mesh.vertex_normals.astype(np.float32)
    )
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding, packing.bilinear = size, GUTTER, True
    packed.generate(xatlas.ChartOptions(), packing)
    origin, faces, uv = packed[0]
    return Atlas(
        origin.astype(np.int64), faces.astype(np.int64), np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1)
    )


def _texels(
    atlas: Atlas, size: int
) -> tuple[Int[ndarray, " texels"], Int[ndarray, "texels 3"], Float[ndarray, "texels 3"]]:
    """Row-major indices of texels on the surface, and their triangle corners and weights.

    These are texels with their centre in a triangle, and those around a vertex, since small charts may
    contain no centre.
    """
    # triangles at texel centres, by rays onto the flat mesh
    centres = (np.arange(size) + 0.5) / size
    v, u = np.meshgrid(1.0 - centres, centres, indexing="ij")
    above = np.stack([u.ravel(), v.ravel(), np.ones(size * size)], axis=1)
    flat = np.concatenate([atlas.uv, np.zeros((len(atlas.uv), 1))], axis=1)
    hits = MeshScene(flat, atlas.faces).intersect(above, np.broadcast_to([0.0, 0.0, -1.0], above.shape))
    inside = np.flatnonzero(hits.hit)
    # other texels around vertices
    column, row = (np.stack([atlas.uv[:, 0], 1.0 - atlas.uv[:, 1]]) * size).astype(np.int64).clip(0, size - 1)
    around, vertex = np.unique(row * size + column, return_index=True)
    missed = ~hits.hit[around]
    around, vertex = around[missed], vertex[missed]
    corners = np.concatenate([atlas.faces[hits.faces[inside]], np.repeat(vertex[:, None], 3, axis=1)])
    weights = np.concatenate([hits.weights[inside], np.broadcast_to([1.0, 0.0, 0.0], (len(vertex), 3))])
    return np.concatenate([inside, around]), atlas.origin[corners], weights


def _filled(
    texture: UInt8[ndarray, "size size 3"], covered: Bool[ndarray, "size size"]
) -> UInt8[ndarray, "size size 3"]:
    """Fill uncovered texels with the nearest covered colour, so that filtering shows no seams."""
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    assert isinstance(nearest, ndarray)
    return texture[nearest[0], nearest[1]]
