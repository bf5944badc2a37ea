"""Closed isosurface meshes of scalar fields."""

from collections.abc import Callable

import numpy as np
import trimesh
from numpy import ndarray
from scipy.ndimage import generate_binary_structure, grey_dilation, grey_erosion
from skimage.measure import marching_cubes

from gram.meshing.fields import Bounds, Field, Lattice, check_level, choose_level, sample_field
from gram.shapes import Float

FACES, EDGES = (generate_binary_structure(3, shared) for shared in (1, 2))
"""Structuring elements of the 6 and 18 nearest lattice points. Alternating, they approximate a ball with an
error of the radius of a seventh; an exact ball would take cubically more work."""


def extract_surface(
    field: Field,
    *,
    bounds: Bounds,
    resolution: int = 128,
    level: float | None = None,
    largest_only: bool = False,
    fill: float = 0.0,
    chunk: int = 2**17,
    progress: Callable[[int, int], None] | None = None,
) -> trimesh.Trimesh:
    """Extract the surface of the region where a field is above a level, in world coordinates.

    Marching cubes on a lattice of the box. Normals point outward, where the field is lower, and the volume
    is positive. A region that reaches the sides of the box is closed by a cap half a cell outside.
    `mesh.metadata["level"]` is the level.

    Args:
        field: function of (N, 3) world points to N values, larger inside.
        bounds: (low, high) of x, y, z.
        resolution: lattice points along the longest side of the box.
        level: level between the smallest and largest value; None chooses it, see `choose_level`.
        largest_only: keep only the connected part of largest volume: drops floaters and closed cavities.
        fill: radius of the ball of a morphological closing, world units: smaller pits and gaps are filled.
        chunk: points evaluated at once.
        progress: called with (points done, points in total).

    Raises:
        ValueError: no surface at the level (the message has the field's range), or invalid bounds, resolution
            or values.

    Example:
        >>> def ball(points):  # 0.5 at a radius of 0.5
        ...     return 1.0 - points.norm(dim=-1)
        >>> bounds = ((-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0))
        >>> mesh = extract_surface(ball, bounds=bounds, resolution=32, level=0.5)
        >>> mesh.is_watertight, round(float(mesh.bounds[1, 0]), 2)
        (True, 0.5)
    """
    lattice = Lattice.over(bounds, resolution=resolution)
    values = sample_field(field, lattice, chunk=chunk, progress=progress)
    values = close_pits(values, round(fill / lattice.spacing.min()))
    level = choose_level(values) if level is None else level
    check_level(values, level)
    vertices, faces, _, _ = marching_cubes(_closed(values, level), level, gradient_direction="ascent")
    mesh = trimesh.Trimesh(
        vertices=lattice.origin + (vertices.astype(np.float64) - 1) * lattice.spacing,
        faces=faces,
        process=False,
    )
    if largest_only:
        mesh = _largest(mesh)
    mesh.metadata["level"] = level
    return mesh


def why_not_watertight(mesh: trimesh.Trimesh) -> str | None:
    """Description of the defects of a surface; None if it is closed and consistently oriented."""
    if len(mesh.faces) == 0:
        return "the mesh has no triangles"
    _, sharing = np.unique(np.sort(mesh.edges, axis=1), axis=0, return_counts=True)
    defects = []
    if holes := int((sharing == 1).sum()):
        defects.append(f"{holes} edges belong to one triangle only: the surface has holes")
    if branches := int((sharing > 2).sum()):
        defects.append(f"{branches} edges belong to more than two triangles: the surface branches there")
    if not defects and not mesh.is_winding_consistent:
        defects.append("neighbouring triangles disagree about which side is outside")
    return "; ".join(defects) or None


def _closed(values: Float[ndarray, "x y z"], level: float) -> Float[ndarray, "x2 y2 z2"]:
    """Pad the field with an outside layer, and move values away from the level to avoid degenerate triangles.

    Values of the layer mirror their neighbours at the level, which places the cap half-way between both.
    """
    # minimum distance to the level
    nudge = 1e-4 * (values.max() - values.min())
    offset = values - level
    offset = np.where(offset >= 0, np.maximum(offset, nudge), np.minimum(offset, -nudge))
    # padding below the level
    padded = np.pad(offset, 1, mode="edge")
    inner = np.zeros(padded.shape, dtype=bool)
    inner[1:-1, 1:-1, 1:-1] = True
    return level + np.where(inner, padded, -np.abs(padded))


def _largest(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    parts = mesh.split(only_watertight=False)
    return max(parts, key=lambda part: abs(part.volume))


def close_pits(values: Float[ndarray, "x y z"], cells: int) -> Float[ndarray, "x y z"]:
    """Close a field morphologically: fills pits that a ball with a radius of `cells` does not fit into.

    A model of few surfaces paints pupils on one behind the face, which are holes in the surface. Dilation and
    erosion by an approximate ball (Serra, Image Analysis and Mathematical Morphology, 1982) fill them; no
    value decreases.

    Args:
        values: values on a lattice, larger inside, extended constantly beyond its sides.
        cells: radius in lattice cells; 0 changes nothing.
    """
    steps = [FACES if step % 2 == 0 else EDGES for step in range(cells)]
    closed = np.pad(values, cells, mode="edge")
    for step in steps:
        closed = grey_dilation(closed, footprint=step)
    for step in steps:
        closed = grey_erosion(closed, footprint=step)
    inside = slice(cells, -cells or None)
    return np.maximum(values, closed[inside, inside, inside])
