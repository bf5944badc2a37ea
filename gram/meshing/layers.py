"""Textured surfaces one behind the other: what a radiance manifold model is, in a file that any viewer opens.

Drawn in order, from the hindmost to the foremost, each over what is there, without light, they give the
model's own picture. The hindmost may be opaque and hides what is behind it; the others let through what
their texture's alpha says.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy import ndarray
from PIL import Image
from scipy.ndimage import maximum_filter
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from gram.meshing.files import replacing
from gram.shapes import Bool, Float, UInt8

UNLIT = "KHR_materials_unlit"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A sheet with a picture on it.

    Attributes:
        name: of its node in the file.
        points: a grid of vertices, world units; rows and columns go along those of the texture, from the
            middles of its first pixels to the middles of its last.
        texture: straight (not premultiplied) sRGB and alpha.
        opaque: draw it without its alpha, and let it hide what is behind.
    """

    name: str
    points: Float[ndarray, "rows columns 3"]
    texture: UInt8[ndarray, "height width 4"]
    opaque: bool = False


def write_layers(layers: Sequence[Layer], path: str | Path) -> None:
    """Binary glTF with a node for each layer, in the order given: the hindmost first.

    Raises:
        ValueError: there are no layers.
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
    """The textured meshes of such a file, in the order in which they are drawn."""
    scene = trimesh.load_scene(io.BytesIO(Path(path).read_bytes()), file_type="glb")
    return [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]


def as_mesh(layer: Layer) -> trimesh.Trimesh:
    """Two triangles for each cell of the grid, counter-clockwise where columns x rows points to the eye.

    Cells that are invisible, corners and surroundings included, are left out.
    """
    rows, columns, _ = layer.points.shape
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    quads = np.stack([np.stack([a, b, d], -1), np.stack([a, d, c], -1)], -2)  # rows, columns, 2, 3
    faces = quads[_visible(layer)].reshape(-1, 3)
    material = PBRMaterial(
        name=layer.name,
        baseColorTexture=Image.fromarray(layer.texture),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        alphaMode="OPAQUE" if layer.opaque else "BLEND",
    )
    visual = TextureVisuals(uv=_places(layer), material=material)
    mesh = trimesh.Trimesh(
        layer.points.reshape(-1, 3).astype(np.float32), faces, visual=visual, process=False
    )
    mesh.remove_unreferenced_vertices()
    return mesh


def _places(layer: Layer) -> Float[ndarray, "vertices 2"]:
    """Texture coordinates of the vertices, origin at the lower left as trimesh has it."""
    (rows, columns, _), (height, width, _) = layer.points.shape, layer.texture.shape
    u = (0.5 + (width - 1) * np.linspace(0, 1, columns)) / width
    v = 1.0 - (0.5 + (height - 1) * np.linspace(0, 1, rows)) / height
    return np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)


def _visible(layer: Layer) -> Bool[ndarray, "rows columns"]:
    """Whether a cell of the grid, rows - 1 by columns - 1 of them, or its surroundings show anything."""
    cells, pixels = np.array(layer.points.shape[:2]) - 1, np.array(layer.texture.shape[:2]) - 1
    around = maximum_filter(layer.texture[..., 3], size=tuple(2 * np.ceil(pixels / cells).astype(int) + 1))
    middles = [np.rint((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(cells, pixels, strict=True)]
    return (around[np.ix_(*middles)] > 0) | layer.opaque


def _unlit(tree: dict[str, Any]) -> None:
    tree["extensionsUsed"] = sorted({*tree.get("extensionsUsed", []), UNLIT})
    for material in tree["materials"]:
        material["extensions"] = {UNLIT: {}}
