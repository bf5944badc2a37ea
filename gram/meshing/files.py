"""Meshes and turntables as files that other programs show as they were meant.

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

from gram.shapes import UInt8

_UNSIGNED_SHORT = 5123  # glTF's name of the type


def write_glb(mesh: trimesh.Trimesh, path: str | Path) -> None:
    """Binary glTF. Vertex colours are sRGB in the mesh and become linear, as glTF has them, in 16 bits.

    The material is matt: glTF's default is metal, which viewers without surroundings show nearly black.
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


def write_gif(
    frames: UInt8[ndarray, "frames height width 3"], path: str | Path, *, fps: int | float = 20
) -> None:
    """Endless GIF.

    Args:
        frames: sRGB pictures in order.
        path: Where.
        fps: Pictures a second, in (0, 50]; GIF counts in hundredths of a second, to which it is rounded.

    Raises:
        ValueError: If there are no frames or the rate is out of range.
    """
    if len(frames) == 0:
        raise ValueError("There are no frames to write; give at least one.")
    if not 0 < fps <= 50:
        raise ValueError(
            f"fps is {fps:g}, but GIF viewers show more than 0 and at most 50 pictures a second."
        )
    first, *others = (Image.fromarray(frame) for frame in frames)
    with replacing(path) as partial:
        first.save(
            partial, format="GIF", save_all=True, append_images=others, duration=round(100 / fps) * 10, loop=0
        )


def _finish_gltf(buffers: MutableMapping[Any, bytes], tree: dict[str, Any]) -> None:
    primitive = tree["meshes"][0]["primitives"][0]
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
