"""Vertex colours of meshes from a colour field."""

from collections.abc import Callable

import torch
import trimesh
from numpy import ndarray
from torch import Tensor
from trimesh.visual import ColorVisuals

from gram.shapes import Float, UInt8

ColorField = Callable[[Float[Tensor, "num 3"], Float[Tensor, "num 3"]], Float[Tensor, "num 3"]]


@torch.no_grad()
def color_vertices(mesh: trimesh.Trimesh, color_field: ColorField, *, chunk: int = 2**17) -> trimesh.Trimesh:
    """Copy a mesh with the field's colours at its vertices, viewed along the normals.

    Args:
        mesh: surface in world coordinates.
        color_field: function of points and unit view directions, here against the normals, to sRGB in [0, 1].
        chunk: points evaluated at once.

    Raises:
        ValueError: values of the field are outside [0, 1], NaN, or not three per point.
    """
    points = torch.tensor(mesh.vertices, dtype=torch.float32)
    directions = -torch.tensor(mesh.vertex_normals, dtype=torch.float32)
    colored = mesh.copy()
    colored.visual = ColorVisuals(vertex_colors=field_colors(color_field, points, directions, chunk=chunk))
    return colored


def field_colors(
    color_field: ColorField,
    points: Float[Tensor, "num 3"],
    directions: Float[Tensor, "num 3"],
    *,
    chunk: int = 2**17,
) -> UInt8[ndarray, "num 3"]:
    """Evaluate sRGB bytes of a field at points viewed along unit directions.

    Raises:
        ValueError: values of the field are outside [0, 1], NaN, or not three per point.
    """
    chunks = zip(points.split(chunk), directions.split(chunk), strict=True)
    parts = [color_field(some_points, some_directions) for some_points, some_directions in chunks]
    colors = torch.cat(parts).cpu()
    if colors.shape != points.shape:
        raise ValueError(
            f"The colour field gave shape {tuple(colors.shape)} for {len(points)} points; give RGB."
        )
    if not bool(((colors > -1e-3) & (colors < 1 + 1e-3)).all()):
        raise ValueError(
            f"Colours have to be in [0, 1] but go from {colors.min():.3g} to {colors.max():.3g}; bring "
            "values in [-1, 1] there by (x + 1) / 2."
        )
    return (colors.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
