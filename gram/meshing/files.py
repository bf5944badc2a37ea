"""Writers of GLB, PLY and OBJ meshes.

Axes are kept: y is up and +z is the front, as in glTF. Files are written atomically.
"""

import contextlib
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy import ndarray
from PIL import Image
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.obj import export_obj
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

WHITE, BLACK = (255, 255, 255, 255), (0, 0, 0, 255)
_UNSIGNED_SHORT = 5123  # component type in glTF


def write_glb(mesh: trimesh.Trimesh, path: str | Path) -> None:
    """Write binary glTF. sRGB vertex colours are converted to linear 16-bit values as glTF requires; a
    texture stays sRGB.

    The material is matt and one-sided, since the surface is closed; glTF's default is metallic, which
    viewers without an environment map render nearly black.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_glb(trimesh.creation.icosphere(), Path(folder) / "ball.glb")
        ...     (Path(folder) / "ball.glb").read_bytes()[:4]
        b'glTF'
    """
    content = export_glb(
        trimesh.Scene({"surface": mesh}), include_normals=True, buffer_postprocessor=_finish_gltf
    )
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_ply(mesh: trimesh.Trimesh, path: str | Path) -> None:
    """Write binary PLY; vertex colours are sRGB bytes, as most readers assume."""
    content = mesh.export(file_type="ply")
    assert isinstance(content, bytes)
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_obj(mesh: trimesh.Trimesh, path: str | Path) -> list[Path]:
    """Write Wavefront OBJ with normals, and vertex colours or a texture.

    A texture is written to NAME_texture.png, and its material to NAME.mtl. Vertex colours, sRGB in [0, 1],
    follow the coordinates, a common extension of the format.

    Returns:
        Paths of the files, in the order of writing; the OBJ, which refers to the others, is last.
    """
    path = Path(path)
    plain = trimesh.Trimesh(
        mesh.vertices, mesh.faces, vertex_normals=mesh.vertex_normals, visual=mesh.visual, process=False
    )
    if isinstance(mesh.visual, TextureVisuals):
        matt = SimpleMaterial(
            image=base_color(mesh), name=f"{path.stem}_texture", diffuse=WHITE, ambient=WHITE, specular=BLACK
        )
        plain.visual = TextureVisuals(uv=mesh.visual.uv, material=matt)
    exported = export_obj(plain, include_normals=True, return_texture=True, mtl_name=f"{path.stem}.mtl")
    assert isinstance(exported, tuple)
    text, beside = exported
    contents = {path.with_name(name): content for name, content in beside.items()} | {path: text.encode()}
    for file, content in contents.items():
        with replacing(file) as partial:
            partial.write_bytes(content)
    return list(contents)


def base_color(mesh: trimesh.Trimesh) -> Image.Image:
    """Texture of a mesh.

    Raises:
        ValueError: the mesh has no texture.
    """
    visual = mesh.visual
    if isinstance(visual, TextureVisuals) and isinstance(visual.material, PBRMaterial):
        texture = visual.material.baseColorTexture
        if texture is not None:
            return texture
    raise ValueError("The mesh has no texture; give it one with bake_texture.")


def _finish_gltf(buffers: MutableMapping[Any, bytes], tree: dict[str, Any]) -> None:
    primitive = tree["meshes"][0]["primitives"][0]
    if "material" not in primitive:
        tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}]
        primitive["material"] = 0
    if "COLOR_0" not in primitive["attributes"]:
        return
    accessor = list(tree["accessors"].values())[primitive["attributes"]["COLOR_0"]]
    key = list(buffers)[accessor["bufferView"]]
    colors = np.frombuffer(buffers[key], dtype=np.uint8)[: 4 * accessor["count"]].reshape(-1, 4) / 255.0
    colors[:, :3] = _linear(colors[:, :3])
    buffers[key] = np.rint(colors * 65535).astype("<u2").tobytes()
    accessor["componentType"] = _UNSIGNED_SHORT
    for bound in ("min", "max"):
        accessor.pop(bound, None)


def _linear(srgb: ndarray) -> ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` that replaces it on success and is removed on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
