"""Meshes as files that other programs show as they were meant.

Axes are kept: y is up and +z is the front, which is also glTF's convention. Every file is written aside and
renamed, so a reader never meets half of one.
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
_UNSIGNED_SHORT = 5123  # glTF's name of the type


def write_glb(mesh: trimesh.Trimesh, path: str | Path) -> None:
    """Binary glTF. Vertex colours are sRGB in the mesh and become linear, as glTF has them, in 16 bits; a
    texture stays sRGB.

    The material is matt: glTF's default is metal, which viewers without surroundings show nearly black. It
    has one side, the outer: the surface is closed.

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
    """Binary PLY; vertex colours are sRGB bytes, as most programs that read PLY take them."""
    content = mesh.export(file_type="ply")
    assert isinstance(content, bytes)
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_obj(mesh: trimesh.Trimesh, path: str | Path) -> list[Path]:
    """Wavefront OBJ with normals, and its vertex colours or its texture.

    A texture is NAME_texture.png beside it, and the material in NAME.mtl names it. Vertex colours, sRGB in
    [0, 1], follow the coordinates, which most programs understand though no standard has it.

    Returns:
        The files, the OBJ last: it appears when what it refers to is there.
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
    for place, content in contents.items():
        with replacing(place) as partial:
            partial.write_bytes(content)
    return list(contents)


def base_color(mesh: trimesh.Trimesh) -> Image.Image:
    """The picture on a textured mesh.

    Raises:
        ValueError: It has none.
    """
    visual = mesh.visual
    if isinstance(visual, TextureVisuals) and isinstance(visual.material, PBRMaterial):
        picture = visual.material.baseColorTexture
        if picture is not None:
            return picture
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
    """A file beside `path` that takes its place when the block ends well, and vanishes when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
