"""Closing of a sampled field: narrow pits and gaps of its surface filled, all else left where it is.

A model of few surfaces paints a pupil on one that lies behind the face, which is a hole in the surface. The
closing of mathematical morphology, dilation and then erosion by about a ball (Serra, Image Analysis and
Mathematical Morphology, 1982), fills what the ball does not fit into.
"""

import numpy as np
from numpy import ndarray
from scipy.ndimage import generate_binary_structure, grey_dilation, grey_erosion

from gram.shapes import Float

FACES, EDGES = (generate_binary_structure(3, shared) for shared in (1, 2))
"""A lattice point with those that share a face of its cell with it, or an edge, too. By turns they make a
ball whose radius is true within a seventh; a true one would be cubically more work."""


def close_pits(values: Float[ndarray, "x y z"], cells: int) -> Float[ndarray, "x y z"]:
    """The field with every pit filled that a ball of a radius of `cells` does not fit into; never less.

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
