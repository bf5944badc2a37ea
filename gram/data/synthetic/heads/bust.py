"""Mesh of a bust, built from shape, hair and looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gram.data.synthetic.heads.basis import SKIN, HeadBasis
from gram.data.synthetic.heads.hair import CENTRE, Hair, mantle
from gram.data.synthetic.heads.looks import Looks
from gram.data.synthetic.heads.shape import WORLD_SCALE
from gram.data.synthetic.raycaster import Mesh
from gram.data.synthetic.waves import smoothstep

Array = NDArray[np.float64]

MANTLE = 5
"""Part number of the mantle of long hair, see `gram.data.synthetic.heads.basis`."""
CLOTH, BEARD = 0.03, 0.05
"""Thickness of clothes and beard, decimetres."""


@dataclass(frozen=True, kw_only=True)
class Bust:
    """Mesh in world coordinates, with attributes of its V vertices."""

    mesh: Mesh
    part: NDArray[np.uint8]
    """(V,) part numbers."""
    canonical: Array
    """(V, 3) canonical positions, decimetres."""
    masks: Array
    """(V, 4) lips, inside of the mouth, ears, and openness."""


def build_bust(vertices: Array, basis: HeadBasis, hair: Hair, looks: Looks) -> Bust:
    """Displace scalp, beard and clothes of the bare bust (N, 3) and add long hair."""
    if hair.hem is not None:
        vertices = _flatten_ears(vertices, basis)
    # thickness of hair, clothes and beard, decimetres
    skin = np.flatnonzero(basis.part == SKIN)
    canonical = basis.canonical[skin]
    scalp = hair.coverage(canonical, -0.03, 0.30) * smoothstep(0.4, 0.1, basis.ears[skin])
    beard = looks.beard * looks.beard_cover(canonical, basis.lips[skin])
    thickness = np.zeros(len(vertices))
    thickness[skin] = scalp * hair.thickness(canonical) + CLOTH * looks.collar(canonical) + BEARD * beard
    # displacement along the normals
    normals = Mesh(vertices=vertices, triangles=basis.triangles).vertex_normals()
    bust = Bust(
        mesh=Mesh(
            vertices=vertices + normals * (WORLD_SCALE * thickness)[:, None], triangles=basis.triangles
        ),
        part=basis.part,
        canonical=basis.canonical,
        masks=np.stack([basis.lips, basis.mouth, basis.ears, basis.openness], 1),
    )
    return bust if hair.hem is None else _with_mantle(bust, hair, basis)


def _with_mantle(bust: Bust, hair: Hair, basis: HeadBasis) -> Bust:
    """Join the mantle of long hair to a bust."""
    canonical, triangles = mantle(hair)
    fitted = _fit_to_skull(canonical, basis, bust.mesh.vertices)
    count = len(bust.part)
    return Bust(
        mesh=Mesh(
            vertices=np.concatenate([bust.mesh.vertices, fitted]),
            triangles=np.concatenate([bust.mesh.triangles, triangles + count]),
        ),
        part=np.concatenate([bust.part, np.full(len(canonical), MANTLE, np.uint8)]),
        canonical=np.concatenate([bust.canonical, canonical]),
        masks=np.concatenate([bust.masks, np.tile([0.0, 0.0, 0.0, 0.9], (len(canonical), 1))]),
    )


def _flatten_ears(vertices: Array, basis: HeadBasis) -> Array:
    """Flatten the ears under long hair."""
    beyond = np.maximum(np.abs(vertices[:, 0]) - 0.68 * WORLD_SCALE, 0.0)
    near = (basis.canonical[:, 1] > 6.8) * smoothstep(0.0, 0.3, basis.ears)
    flat = vertices.copy()
    flat[:, 0] -= np.sign(vertices[:, 0]) * 0.75 * beyond * near
    return flat


def _fit_to_skull(points: Array, basis: HeadBasis, vertices: Array) -> Array:
    """Map canonical points (K, 3) to the world, from the box of the mean skull to that of this one."""
    skull = (basis.part == SKIN) & (basis.canonical[:, 1] > CENTRE[1] + 0.1) & (basis.ears < 0.1)
    low, high = basis.canonical[skull].min(0), basis.canonical[skull].max(0)
    world_low, world_high = vertices[skull].min(0), vertices[skull].max(0)
    return world_low + (points - low) * ((world_high - world_low) / (high - low))
