"""Geometry and textures encoded as JSON for the page; web/src/data.js decodes it."""

import base64
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import interpolate

from gram.extraction.baking import BakedManifolds
from gram.shapes import Float, UInt8

if TYPE_CHECKING:
    import trimesh

Json = dict[str, Any]

MAX_VERTICES = 65
"""Maximum number of vertices along one side of a surface; enough, as surfaces are smooth."""
STEPS = 2**16 - 1
"""Quantisation steps along one side of the bounding box."""
QUALITY = 95
"""Quality of lossy WebP images."""


def layers(baked: BakedManifolds) -> Json:
    """Geometry of the surfaces and of the background plane, shared by all latents."""
    count, _, height, _ = baked.surfaces.shape
    side = min(height, MAX_VERTICES)
    radii = interpolate(baked.charts.radii[None], size=(side, side), mode="bilinear", align_corners=True)[0]
    points = replace(baked.charts, radii=radii).points()
    columns, rows = _grid(count + 1)
    return {
        "count": count,
        "side": side,
        "positions": _box(points.reshape(-1, 3).cpu().numpy()),
        "axis": baked.charts.frame[:, 2].tolist(),
        "near": baked.near,
        "far": baked.far,
        "plane": None if baked.plane is None else {"z": baked.plane_z, "extent": baked.plane_extent.tolist()},
        "atlas": {"resolution": height, "columns": columns, "rows": rows},
    }


def atlas(baked: BakedManifolds) -> str:
    """Texture atlas of one latent: colour tiles, and below them occupancy tiles, row by row.

    Occupancies are no alpha channel, as decoders do not preserve the colours of transparent pixels.
    """
    plane = torch.ones_like(baked.surfaces[0, :3]) if baked.plane is None else baked.plane
    opaque = torch.ones_like(baked.surfaces[:1, :1])
    colors = torch.cat([baked.surfaces[:, :3], plane[None]])
    alphas = torch.cat([baked.surfaces[:, 3:], opaque]).expand(-1, 3, -1, -1)
    halves = [_tiled(tiles.mul(255.0).round().byte().cpu()) for tiles in (colors, alphas)]
    return _webp(np.concatenate(halves))


def surface(mesh: "trimesh.Trimesh") -> Json:
    """Mesh with a texture or vertex colours."""
    from trimesh.visual import ColorVisuals

    visual = mesh.visual
    packed: Json = {
        "positions": _box(np.asarray(mesh.vertices)),
        "normals": _numbers(np.rint(_normals(mesh) * 127.0).astype(np.int8)),
        "faces": _numbers(np.asarray(mesh.faces).astype(np.uint32)),
        "colors": None,
        "uv": None,
        "texture": None,
    }
    if isinstance(visual, ColorVisuals):
        packed["colors"] = _numbers(np.ascontiguousarray(np.asarray(visual.vertex_colors)[:, :3], np.uint8))
        return packed
    assert visual is not None
    assert visual.uv is not None, "a texture has coordinates"
    uv = np.stack([visual.uv[:, 0], 1.0 - visual.uv[:, 1]], axis=-1)  # v of trimesh grows upwards
    packed["uv"] = _numbers(np.rint(uv.clip(0.0, 1.0) * STEPS).astype(np.uint16))
    # the image of either kind of material in trimesh
    texture: Any = getattr(visual.material, "baseColorTexture", None) or visual.material.image
    packed["texture"] = _webp(np.asarray(texture.convert("RGB")))
    return packed


def _normals(mesh: "trimesh.Trimesh") -> Float[ndarray, "n 3"]:
    """Smooth vertex normals, equal for the copies of a vertex at texture seams."""
    import trimesh

    points, which = np.unique(np.asarray(mesh.vertices), axis=0, return_inverse=True)
    whole = trimesh.Trimesh(points, which.reshape(-1)[mesh.faces], process=False)
    return np.asarray(whole.vertex_normals)[which.reshape(-1)]


def _grid(tiles: int) -> tuple[int, int]:
    """Columns and rows of one half of a nearly square atlas; the halves lie one above the other."""
    columns = int(np.ceil(np.sqrt(2 * tiles)))
    return columns, -(-tiles // columns)


def _tiled(tiles: UInt8[Tensor, "n 3 height width"]) -> UInt8[ndarray, "rows columns 3"]:
    n, _, height, width = tiles.shape
    columns, rows = _grid(n)
    canvas = np.zeros((rows, columns, height, width, 3), np.uint8)
    canvas.reshape(-1, height, width, 3)[:n] = tiles.permute(0, 2, 3, 1).numpy()
    return canvas.swapaxes(1, 2).reshape(rows * height, columns * width, 3)


def _box(points: Float[ndarray, "n 3"]) -> Json:
    """Positions quantised to 16 bits within their bounding box."""
    low = points.min(0).astype(np.float64)
    step = np.maximum(points.max(0) - low, 1e-9) / STEPS
    numbers = np.rint((points - low) / step).astype(np.uint16)
    return {"numbers": _numbers(numbers), "low": low.tolist(), "step": step.tolist()}


def _numbers(array: ndarray) -> Json:
    little = array.astype(array.dtype.newbyteorder("<"))
    return {"bytes": base64.b64encode(little.tobytes()).decode(), "type": array.dtype.name}


def _webp(pixels: UInt8[ndarray, "height width 3"]) -> str:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", quality=QUALITY, method=4, use_sharp_yuv=True)
    return base64.b64encode(content.getvalue()).decode()
