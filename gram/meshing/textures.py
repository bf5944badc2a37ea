"""Colours of a mesh as a picture: every triangle has its place in a texture (UV atlas)."""

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
from gram.meshing.raycasting import Target, interpolate
from gram.shapes import Bool, Float, Int, UInt8

GUTTER = 2
"""Texels between charts, of the atlas as it is packed."""
EXTENT = 1000.0
"""Largest side of a mesh that is cut open."""
SMALLEST = 16
"""Texels along one side below which charts have no room."""


class Atlas(NamedTuple):
    """A mesh cut open and laid flat.

    `origin` is the vertex of the mesh that each vertex here was: vertices on seams are several.
    """

    origin: Int[ndarray, " vertices"]
    faces: Int[ndarray, "faces 3"]
    uv: Float[ndarray, "vertices 2"]  # in [0, 1], v upward


def bake_texture(mesh: trimesh.Trimesh, color_field: ColorField, *, size: int) -> trimesh.Trimesh:
    """The mesh with a texture of the field's colours, every texel seen straight on.

    Vertices on seams are doubled, so that the copy has holes to a program that does not merge them; the
    normals are those of the mesh.

    Args:
        mesh: surface in world coordinates.
        color_field: see `color_vertices`.
        size: texels along one side, at least 16.

    Raises:
        ValueError: the texture is too small, or the field gives no colours.
    """
    if size < SMALLEST:
        raise ValueError(f"A texture of {size} x {size} texels is too small; take at least {SMALLEST}.")
    atlas = unwrap(mesh, size=size)
    texels, corners, weights = _texels(atlas, size)
    points = torch.from_numpy(interpolate(mesh.vertices, corners, weights)).float()
    normals = normalize(torch.from_numpy(interpolate(mesh.vertex_normals, corners, weights)).float(), dim=-1)
    texture, covered = np.zeros((size * size, 3), dtype=np.uint8), np.zeros(size * size, dtype=bool)
    texture[texels], covered[texels] = field_colors(color_field, points, -normals), True
    picture = Image.fromarray(_filled(texture.reshape(size, size, 3), covered.reshape(size, size)))
    material = PBRMaterial(name="surface", baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=1.0)
    textured = trimesh.Trimesh(
        mesh.vertices[atlas.origin], atlas.faces, vertex_normals=mesh.vertex_normals[atlas.origin],
        visual=TextureVisuals(uv=atlas.uv, material=material), process=False,
    )  # fmt: skip
    textured.metadata.update(mesh.metadata)
    return textured


def unwrap(mesh: trimesh.Trimesh, *, size: int) -> Atlas:
    """Charts of little distortion, packed into a square of `size` texels (xatlas)."""
    # xatlas takes triangles with an area below 1e-7 for none, and a large mesh has no such.
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
    """Texels that show the surface, counted row by row from the top: corners there, and their weights.

    They are those with their middle in a triangle, and those around a vertex: a chart can be so small that it
    has no middle of a texel.
    """
    middles = (np.arange(size) + 0.5) / size
    v, u = np.meshgrid(1.0 - middles, middles, indexing="ij")
    above = np.stack([u.ravel(), v.ravel(), np.ones(size * size)], axis=1)
    flat = np.concatenate([atlas.uv, np.zeros((len(atlas.uv), 1))], axis=1)
    found = Target(flat, atlas.faces).meet(above, np.broadcast_to([0.0, 0.0, -1.0], above.shape))
    inside = np.flatnonzero(found.hit)
    column, row = (np.stack([atlas.uv[:, 0], 1.0 - atlas.uv[:, 1]]) * size).astype(np.int64).clip(0, size - 1)
    around, vertex = np.unique(row * size + column, return_index=True)
    bare = ~found.hit[around]
    around, vertex = around[bare], vertex[bare]
    corners = np.concatenate([atlas.faces[found.faces[inside]], np.repeat(vertex[:, None], 3, axis=1)])
    weights = np.concatenate([found.weights[inside], np.broadcast_to([1.0, 0.0, 0.0], (len(vertex), 3))])
    return np.concatenate([inside, around]), atlas.origin[corners], weights


def _filled(
    texture: UInt8[ndarray, "size size 3"], covered: Bool[ndarray, "size size"]
) -> UInt8[ndarray, "size size 3"]:
    """Texels of no triangle have the colour of the nearest that is of one: no filter sees a seam."""
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    assert isinstance(nearest, ndarray)
    return texture[nearest[0], nearest[1]]
