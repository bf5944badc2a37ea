"""A closed triangle mesh of where a scalar field crosses a level."""

from collections.abc import Callable

import numpy as np
import trimesh
from numpy import ndarray
from scipy.ndimage import generate_binary_structure, grey_dilation, grey_erosion
from skimage.measure import marching_cubes

from gram.meshing.fields import Bounds, Field, Lattice, check_level, choose_level, sample_field
from gram.shapes import Float

FACES, EDGES = (generate_binary_structure(3, shared) for shared in (1, 2))
"""A lattice point with those that share a face of its cell with it, or an edge, too. By turns they make a
ball whose radius is true within a seventh; a true one would be cubically more work."""


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
    """Surface of the region where a field is above a level, in the field's world coordinates.

    Marching cubes on a lattice of the box. Triangles are counter-clockwise from outside, where the field is
    lower, so normals point outward and the volume is positive. Where the region reaches the sides of the
    box it is closed by a cap half a cell outside. `mesh.metadata["level"]` keeps the level.

    Args:
        field: Maps (N, 3) world points to N values, larger inside.
        bounds: (low, high) of x, y, z.
        resolution: Lattice points along the longest side of the box.
        level: Between the smallest and largest value; None chooses it, see `choose_level`.
        largest_only: Keep only the connected part of largest volume: drops floaters and closed cavities.
        fill: Radius of a ball, in world units: pits and gaps that it has no room in are filled.
        chunk: Points given to the field at once.
        progress: Called with (points done, points in total).

    Raises:
        ValueError: If there is no surface at the level (the message has the field's range), or bounds,
            resolution or values are unusable.

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
    """None for a closed surface with consistent sides; otherwise what is wrong with it, in words."""
    if len(mesh.faces) == 0:
        return "the mesh has no triangles"
    _, sharing = np.unique(np.sort(mesh.edges, axis=1), axis=0, return_counts=True)
    complaints = []
    if holes := int((sharing == 1).sum()):
        complaints.append(f"{holes} edges belong to one triangle only: the surface has holes")
    if branches := int((sharing > 2).sum()):
        complaints.append(f"{branches} edges belong to more than two triangles: the surface branches there")
    if not complaints and not mesh.is_winding_consistent:
        complaints.append("neighbouring triangles disagree about which side is outside")
    return "; ".join(complaints) or None


def _closed(values: Float[ndarray, "x y z"], level: float) -> Float[ndarray, "x2 y2 z2"]:
    """The field with a layer of outside around it, and no value so near the level that triangles degenerate.

    A value of the layer lies as far below the level as its neighbour in the box lies above, so that the cap
    comes to lie half-way, and no crossing collapses into a lattice point.
    """
    nudge = 1e-4 * (values.max() - values.min())
    offset = values - level
    offset = np.where(offset >= 0, np.maximum(offset, nudge), np.minimum(offset, -nudge))
    padded = np.pad(offset, 1, mode="edge")
    inner = np.zeros(padded.shape, dtype=bool)
    inner[1:-1, 1:-1, 1:-1] = True
    return level + np.where(inner, padded, -np.abs(padded))


def _largest(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    parts = mesh.split(only_watertight=False)
    return max(parts, key=lambda part: abs(part.volume))


def close_pits(values: Float[ndarray, "x y z"], cells: int) -> Float[ndarray, "x y z"]:
    """Morphological closing of a field: pits are filled that a ball of a radius of `cells` does not fit into.

    A model of few surfaces paints a pupil on one that lies behind the face, which is a hole in the surface.
    Dilation and then erosion by about a ball (Serra, Image Analysis and Mathematical Morphology, 1982) fills
    it; no value becomes less.

    Args:
        values: on a lattice, larger inside; beyond its sides they go on as they are there.
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
