"""Fewer triangles with nearly the same shape, and still closed where it was."""

import fast_simplification
import numpy as np
import trimesh
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gram.meshing.surface import why_not_watertight
from gram.shapes import Bool, Float, Int

FEWEST = 4
"""Triangles of the smallest closed surface, a tetrahedron."""
ATTEMPTS = [(1, 1.0), (4, 1.0), (7, 1.0), *((7, 0.9**k) for k in range(1, 6))]
"""Aggression, and share of the budget that is aimed at. The least aggression leaves normals within 4 degrees
where the greatest bends some by 20, yet it does not reach every budget."""
SLIVER = 1e-6
"""Area below which a triangle is degenerate, as a share of the mean."""
TURNS = 4
"""How often sheets are told apart."""
STEP = 1e-2
"""Vertices that have to move do so by this share of the way to the middle of their neighbours."""


def decimate(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """At most `faces` triangles: edges are collapsed where that changes the shape least (quadric error).

    Collapsing can press a surface against itself, so that four triangles share an edge. These sheets are
    told apart again: what was watertight is so afterwards. No triangle is degenerate or lies back to back
    with another.

    Args:
        mesh: surface in world coordinates; its colours are lost.
        faces: budget, at least 4.

    Raises:
        ValueError: a budget that no closed surface can meet, or that this one cannot.

    Example:
        >>> ball = trimesh.creation.icosphere(subdivisions=3)
        >>> small = decimate(ball, 200)
        >>> len(small.faces) <= 200, small.is_watertight
        (True, True)
    """
    if faces < FEWEST:
        raise ValueError(
            f"A budget of {faces} triangles is too small: a closed surface has at least {FEWEST}."
        )
    closed = why_not_watertight(mesh) is None
    fewest = len(mesh.faces)
    for aggression, share in ATTEMPTS:
        small = _collapsed(mesh, max(FEWEST, int(share * faces)), aggression, closed=closed)
        if 0 < len(small.faces) <= faces and not (closed and why_not_watertight(small)):
            small.metadata.update(mesh.metadata)
            return small
        fewest = min(fewest, len(small.faces) or fewest)
    raise ValueError(
        f"A surface of {len(mesh.faces)} triangles does not stay closed with a budget of {faces}; "
        f"the fewest reached are {fewest}. Give a larger budget."
    )


def _collapsed(mesh: trimesh.Trimesh, target: int, aggression: int, *, closed: bool) -> trimesh.Trimesh:
    vertices, faces = np.array(mesh.vertices), np.array(mesh.faces)
    if len(faces) > target:
        simpler = fast_simplification.simplify(vertices, faces, target_count=target, agg=aggression)
        vertices, faces = simpler[0], simpler[1]
    faces = _proper(faces.astype(np.int64))
    if closed and len(faces):
        vertices, faces = _separated(vertices, faces)
    small = trimesh.Trimesh(vertices, faces, process=False)
    if len(faces):
        slivers = small.area_faces < SLIVER * small.area_faces.mean()
        small.vertices = _relaxed(small.vertices, faces, np.isin(np.arange(len(vertices)), faces[slivers]))
        small.remove_unreferenced_vertices()
    return small


def _proper(faces: Int[ndarray, "faces 3"]) -> Int[ndarray, "rest 3"]:
    """Without triangles that have a corner twice, and without pairs that lie back to back."""
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    ordered = np.sort(faces, axis=1)
    side = np.where((faces == ordered).sum(axis=1) == 1, -1, 1)  # a swap is odd, a rotation is even
    _, same = np.unique(ordered, axis=0, return_inverse=True)
    balance = np.bincount(same, weights=side, minlength=1)[same]
    order = np.lexsort([-side * balance, same])  # those of the side that prevails come first
    rank = np.arange(len(order)) - np.searchsorted(same[order], same[order])
    return faces[np.sort(order[rank < np.abs(balance[order])])]


def _separated(
    vertices: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"]
) -> tuple[Float[ndarray, "more 3"], Int[ndarray, "faces 3"]]:
    """Every edge between two triangles: a vertex becomes as many as there are sheets that meet in it.

    Of the two ways to tell four triangles apart one can join the sheets again elsewhere: then the other.
    """
    origin = np.arange(len(vertices))
    for turn in range(TURNS):
        paired = _paired(faces, reverse=turn % 2 == 1)
        if paired is None:  # it is not closed
            break
        sheet, came_from = paired
        faces, origin = sheet, origin[came_from]
    apart = np.bincount(origin, minlength=len(vertices))[origin] > 1
    return _relaxed(vertices[origin], faces, apart), faces


def _paired(
    faces: Int[ndarray, "faces 3"], *, reverse: bool
) -> tuple[Int[ndarray, "faces 3"], Int[ndarray, " more"]] | None:
    """Half-edges of opposite directions in pairs; corners that meet along a pair share a vertex.

    Returns:
        Triangles of new vertices, and the vertex that each of these was; None where one has no partner.
    """
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edge = np.minimum(start, end) * (start.max() + 1) + np.maximum(start, end)
    corner = np.arange(len(start))
    order, other = np.lexsort([corner, edge]), np.lexsort([-corner if reverse else corner, edge])
    forth, back = order[(start < end)[order]], other[(start > end)[other]]
    if len(forth) != len(back) or (edge[forth] != edge[back]).any():
        return None
    following = np.roll(corner.reshape(-1, 3), -1, axis=1).ravel()
    links = (np.concatenate([forth, following[forth]]), np.concatenate([following[back], back]))
    graph = coo_array((np.ones(len(links[0]), dtype=bool), links), shape=(len(start), len(start)))
    count, sheet = connected_components(graph, directed=False)
    came_from = np.zeros(count, dtype=np.int64)
    came_from[sheet] = start
    return sheet.reshape(-1, 3).astype(np.int64), came_from


def _relaxed(
    vertices: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"], which: Bool[ndarray, " vertices"]
) -> Float[ndarray, "vertices 3"]:
    """Some vertices a step nearer to the middle of their neighbours."""
    total, count = np.zeros_like(vertices, dtype=np.float64), np.zeros((len(vertices), 1))
    for shift in (1, 2):
        np.add.at(total, faces.ravel(), vertices[np.roll(faces, shift, axis=1).ravel()])
        np.add.at(count, faces.ravel(), 1.0)
    moved = vertices + STEP * (total / count.clip(1.0) - vertices)
    return np.where(which[:, None], moved, vertices)
