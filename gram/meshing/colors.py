"""Colours of a field on a mesh, at its vertices."""

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
    """A copy of the mesh whose vertices have the field's colour, seen straight on.

    Args:
        mesh: Surface in world coordinates.
        color_field: Maps points and unit viewing directions to sRGB in [0, 1]. The direction is the one of
            a ray that meets the surface perpendicularly from outside.
        chunk: Points handed to the field at once.

    Raises:
        ValueError: If the field gives values outside [0, 1], NaN, or not three for each point.
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
    """sRGB bytes of a field at points seen along unit directions.

    Raises:
        ValueError: If the field gives values outside [0, 1], NaN, or not three for each point.
    """
    parts = [
        color_field(part, towards)
        for part, towards in zip(points.split(chunk), directions.split(chunk), strict=True)
    ]
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
