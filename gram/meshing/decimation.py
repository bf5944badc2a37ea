"""Decimation of meshes that keeps closed surfaces closed."""

import fast_simplification
import numpy as np
import trimesh
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gram.meshing.surface import why_not_watertight
from gram.shapes import Bool, Float, Int

FEWEST = 4
"""Minimum number of triangles of a closed surface, a tetrahedron."""
ATTEMPTS = [(1, 1.0), (4, 1.0), (7, 1.0), *((7, 0.9**k) for k in range(1, 6))]
"""Aggressiveness and target as a fraction of the budget, in the order of attempts. The lowest aggressiveness
changes normals by at most 4 degrees, the highest by 20, but the lowest does not reach every budget."""
SLIVER = 1e-6
"""Area below which a triangle is degenerate, relative to the mean area."""
TURNS = 4
"""Maximum number of passes that separate touching sheets."""
STEP = 1e-2
"""Step of moved vertices towards the mean of their neighbours, as a fraction of the distance."""


def decimate(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """Reduce a mesh to at most `faces` triangles by edge collapse (quadric error).

    Collapses can press a surface against itself, so that four triangles share an edge. Such sheets are
    separated again: watertight meshes stay watertight. Degenerate and back-to-back triangles are removed.

    Args:
        mesh: surface in world coordinates; its colours are lost.
        faces: budget, at least 4.

    Raises:
        ValueError: the budget is too small for this surface.

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
    """Remove triangles with a repeated corner, and pairs that lie back to back."""
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    # orientation of each triangle relative to its sorted corners: a swap is odd, a rotation is even
    ordered = np.sort(faces, axis=1)
    side = np.where((faces == ordered).sum(axis=1) == 1, -1, 1)
    # surplus of orientations among triangles with the same corners, of which as many are kept
    _, same = np.unique(ordered, axis=0, return_inverse=True)
    balance = np.bincount(same, weights=side, minlength=1)[same]
    order = np.lexsort([-side * balance, same])  # the prevailing orientation first
    rank = np.arange(len(order)) - np.searchsorted(same[order], same[order])
    return faces[np.sort(order[rank < np.abs(balance[order])])]


def _separated(
    vertices: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"]
) -> tuple[Float[ndarray, "more 3"], Int[ndarray, "faces 3"]]:
    """Split vertices so that every edge has two triangles: one copy per sheet that touches there.

    One of the two pairings of four triangles can join sheets again elsewhere, so passes alternate.
    """
    origin = np.arange(len(vertices))
    for turn in range(TURNS):
        paired = _paired(faces, reverse=turn % 2 == 1)
        if paired is None:  # not closed
            break
        sheet, previous = paired
        faces, origin = sheet, origin[previous]
    split = np.bincount(origin, minlength=len(vertices))[origin] > 1
    return _relaxed(vertices[origin], faces, split), faces


def _paired(
    faces: Int[ndarray, "faces 3"], *, reverse: bool
) -> tuple[Int[ndarray, "faces 3"], Int[ndarray, " more"]] | None:
    """Pair half-edges of opposite directions; corners connected by pairs share a vertex.

    Returns:
        Triangles of new vertices, and the previous vertex of each; None if a half-edge has no partner.
    """
    # half-edges, each with the key of its undirected edge
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edge = np.minimum(start, end) * (start.max() + 1) + np.maximum(start, end)
    corner = np.arange(len(start))
    # both directions in the order of the edges
    order, other = np.lexsort([corner, edge]), np.lexsort([-corner if reverse else corner, edge])
    forth, back = order[(start < end)[order]], other[(start > end)[other]]
    if len(forth) != len(back) or (edge[forth] != edge[back]).any():
        return None
    # connected components of corners
    following = np.roll(corner.reshape(-1, 3), -1, axis=1).ravel()
    links = (np.concatenate([forth, following[forth]]), np.concatenate([following[back], back]))
    graph = coo_array((np.ones(len(links[0]), dtype=bool), links), shape=(len(start), len(start)))
    count, sheet = connected_components(graph, directed=False)
    previous = np.zeros(count, dtype=np.int64)
    previous[sheet] = start
    return sheet.reshape(-1, 3).astype(np.int64), previous


def _relaxed(
    vertices: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"], moving: Bool[ndarray, " vertices"]
) -> Float[ndarray, "vertices 3"]:
    """Move the masked vertices a step towards the mean of their neighbours."""
    total, count = np.zeros_like(vertices, dtype=np.float64), np.zeros((len(vertices), 1))
    for shift in (1, 2):
        np.add.at(total, faces.ravel(), vertices[np.roll(faces, shift, axis=1).ravel()])
        np.add.at(count, faces.ravel(), 1.0)
    moved = vertices + STEP * (total / count.clip(1.0) - vertices)
    return np.where(moving[:, None], moved, vertices)
