"""Mesh of a car: a body lofted along its length, wheels flush with its sides, and two mirrors.

Coordinates and units are those of `gram.data.synthetic.cars.shape`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gram.data.synthetic.cars.shape import CarShape
from gram.data.synthetic.raycaster import Mesh

Array = NDArray[np.float64]

BODY, WHEEL, MIRROR = range(3)
"""Part numbers of triangles."""
RINGS, SIDES = 84, 52
WHEEL_SIDES = 28


def build_mesh(shape: CarShape) -> tuple[Mesh, NDArray[np.uint8]]:
    """Build the mesh in car units, and the part number of every triangle (T,)."""
    pieces = [(body_mesh(shape), BODY)]
    for axle in shape.axles:
        outer = half_width(shape, np.array([0.5 - axle / shape.length]))[0]
        pieces += [(_wheel(shape, axle, side, float(outer)), WHEEL) for side in (-1.0, 1.0)]
    pieces += [(_mirror(shape, side), MIRROR) for side in (-1.0, 1.0)]
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh, _ in pieces])
    mesh = Mesh(
        vertices=np.concatenate([piece.vertices for piece, _ in pieces]),
        triangles=np.concatenate(
            [piece.triangles + start for (piece, _), start in zip(pieces, starts[:-1], strict=True)]
        ),
    )
    return mesh, np.concatenate([np.full(len(piece.triangles), part, np.uint8) for piece, part in pieces])


def half_width(shape: CarShape, u: Array) -> Array:
    """Maximum half width of the body at u: narrower at both ends, flared around the wheels."""
    front = np.clip(u / 0.14, 0.0, 1.0) ** 0.5 * 0.16 + 0.84
    rear = np.clip((1.0 - u) / 0.10, 0.0, 1.0) ** 0.5 * 0.10 + 0.90
    flare = sum(
        (
            np.exp(-(((0.5 - u) * shape.length - axle) ** 2) / (1.2 * shape.wheel_radius) ** 2)
            for axle in shape.axles
        ),
        np.zeros_like(u),
    )
    return 0.5 * shape.width * front * rear * (1.0 + 0.025 * flare)


def body_mesh(shape: CarShape) -> Mesh:
    """Build the closed body: superelliptic cross-sections below the belt line, a tapering cabin above."""
    # outline at each ring
    u = np.sort(np.concatenate([np.linspace(0.0, 1.0, RINGS - 4), [0.004, 0.01, 0.99, 0.996]]))[:, None]
    top, belt = _profile(shape, u[:, 0])[:, None], _belt(shape, u[:, 0])[:, None]
    end = np.clip(np.minimum(u, 1.0 - u) / 0.014, 0.0, 1.0) ** 0.5
    # superellipse, flatter sides below, where the wheels are
    turn = np.linspace(0.0, 2 * np.pi, SIDES, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    exponent = np.where(sine < 0, 0.6, 1.0) * shape.squareness
    across = np.sign(cosine) * np.abs(cosine) ** exponent
    up = np.sign(sine) * np.abs(sine) ** exponent
    # cabin
    middle, half = 0.5 * (shape.clearance + belt), 0.5 * (belt - shape.clearance)
    cabin = np.clip((up - 0.15) / 0.85, 0.0, 1.0)  # 0 at the belt line, 1 on the roof
    glass_height = np.maximum(top - belt, 0.0)
    y = middle + half * up + glass_height * cabin
    tumblehome = (
        1.0 - (1.0 - shape.roof_width) * np.clip(glass_height / (shape.height - shape.belt), 0.0, 1.0) * cabin
    )
    x = half_width(shape, u) * across * tumblehome
    # rounded front and rear
    centre = 0.5 * (top + shape.clearance)
    x, y = x * (0.86 + 0.14 * end), centre + (y - centre) * (0.80 + 0.20 * end)
    z = np.broadcast_to((0.5 - u) * shape.length, x.shape)
    return loft(np.stack([x, y, z], -1))


def loft(rings: Array) -> Mesh:
    """Build a closed surface through rings (M, K, 3), clockwise seen from the last one, with flat caps."""
    count, sides, _ = rings.shape
    vertices = np.concatenate([rings.reshape(-1, 3), rings[[0, -1]].mean(1)])
    grid = np.arange(count * sides).reshape(count, sides)
    following = np.roll(grid, -1, 1)
    a, b, c, d = grid[:-1].ravel(), following[:-1].ravel(), grid[1:].ravel(), following[1:].ravel()
    first, last = np.full(sides, count * sides), np.full(sides, count * sides + 1)
    triangles = [
        np.stack([a, c, b], 1),
        np.stack([b, c, d], 1),
        np.stack([first, grid[0], following[0]], 1),
        np.stack([last, following[-1], grid[-1]], 1),
    ]
    return Mesh(vertices=vertices, triangles=np.concatenate(triangles))


def _profile(shape: CarShape, u: Array) -> Array:
    """Height of the car's outline in side view."""
    points = [
        *[
            (-0.2, 0.78 * shape.belt),
            (0.0, 0.78 * shape.belt),
            (0.5 * shape.hood, 0.93 * shape.belt),
            (shape.hood, shape.belt),
        ],
        *[
            (shape.windscreen_end, 0.97 * shape.height),
            (0.5 * (shape.windscreen_end + shape.roof_end), shape.height),
        ],
        *[
            (shape.roof_end, 0.95 * shape.height),
            (max(shape.rear_window_end, shape.roof_end + 0.01), shape.deck),
            (1.2, 0.97 * shape.deck),
        ],
    ]
    return _smoothed(u, points, shape.softness)


def _belt(shape: CarShape, u: Array) -> Array:
    """Height of the belt line, at most that of the outline."""
    line = _smoothed(u, [(0.0, 0.75 * shape.belt), (shape.hood, shape.belt), (1.0, 1.03 * shape.belt)], 0.05)
    return np.minimum(_profile(shape, u), line)


def _smoothed(u: Array, points: list[tuple[float, float]], width: float) -> Array:
    """Polyline through the points, smoothed with a Gaussian of this width."""
    knots, values = np.array(points).T
    offsets = np.linspace(-3.0 * width, 3.0 * width, 13)
    weights = np.exp(-0.5 * (offsets / width) ** 2)
    return sum(
        (
            w * np.interp(u + offset, knots, values)
            for w, offset in zip(weights / weights.sum(), offsets, strict=True)
        ),
        np.zeros_like(u),
    )


def _wheel(shape: CarShape, axle: float, side: float, outer: float) -> Mesh:
    """Build a wheel whose outer face protrudes slightly from the body's side."""
    r = shape.wheel_radius
    profile = np.array(
        [(0.02, 0.008), (0.62, 0.004), (0.70, 0.014), (0.94, 0.016), (1.0, 0.0), (1.0, -0.15), (0.02, -0.15)]
    )
    turn = side * np.linspace(0.0, 2 * np.pi, WHEEL_SIDES, endpoint=False)
    radius, offset = r * profile[:, :1], profile[:, 1:]
    x = np.broadcast_to(side * (outer + offset), (len(profile), WHEEL_SIDES))
    rings = np.stack([x, r + radius * np.sin(turn), axle + radius * np.cos(turn)], -1)
    return loft(rings[::-1])


def _mirror(shape: CarShape, side: float) -> Mesh:
    """Build an ellipsoidal mirror at the foot of the windscreen."""
    u = shape.hood + 0.30 * (shape.windscreen_end - shape.hood) + 0.045
    centre = np.array(
        [side * (half_width(shape, np.array([u]))[0] + 0.02), 1.08 * shape.belt, (0.5 - u) * shape.length]
    )
    height = np.linspace(-0.96, 0.96, 7)[:, None]
    turn = np.linspace(0.0, 2 * np.pi, 10, endpoint=False)
    ring = np.sqrt(1.0 - height**2)
    rings = np.stack([ring * np.cos(turn), np.broadcast_to(height, (7, 10)), ring * np.sin(turn)], -1)
    return loft(centre + rings * np.array([0.055, 0.032, 0.028]))
