"""Procedural cars, shaded for ray casting."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gram.data.cameras import dot, normalised
from gram.data.synthetic.cars.mesh import BODY, MIRROR, WHEEL, build_mesh
from gram.data.synthetic.cars.shape import ARCH, CarShape, draw_shape
from gram.data.synthetic.lighting import Lighting, soft_clip
from gram.data.synthetic.raycaster import Mesh, RayHits, Shadow, decode_srgb
from gram.data.synthetic.waves import mix, smoothstep

Array = NDArray[np.float64]

RADIUS = 0.257
"""Radius of the sphere around the origin that contains every car, so that it fits every image."""
PAINTS = np.array(
    [
        [0.86, 0.86, 0.87],
        [0.13, 0.13, 0.15],
        [0.62, 0.64, 0.67],
        [0.78, 0.10, 0.11],
        [0.12, 0.26, 0.62],
        [0.90, 0.74, 0.16],
        [0.14, 0.42, 0.24],
        [0.92, 0.45, 0.12],
        [0.42, 0.30, 0.22],
        [0.52, 0.70, 0.82],
    ]
)
GLASS = (0.13, 0.16, 0.19)
HEADLIGHT, TAIL_LIGHT = (0.96, 0.96, 0.92), (0.80, 0.07, 0.07)
GRILLE, PLATE = (0.14, 0.14, 0.15), (0.93, 0.93, 0.90)


@dataclass(frozen=True, kw_only=True)
class Car:
    """Car on white; a `gram.data.synthetic.raycaster.ShadedMesh`."""

    mesh: Mesh
    shape: CarShape
    part: NDArray[np.uint8]
    """(T,) part number of every triangle."""
    local: Array
    """(V, 3) vertices in car units."""
    paint: Array
    """(3,) sRGB."""
    rim: float
    spokes: int
    pillar: float
    """Position of the pillar between the doors, u."""
    lighting: Lighting
    normals: Array = field(repr=False)

    @property
    def shadow_light(self) -> Array:
        """Distant point (3,) in the direction of the sun."""
        return 10.0 * self.lighting.key

    def background(self, origin: Array, directions: Array) -> Array:
        """White."""
        return np.ones_like(directions)

    def shade(self, hits: RayHits, shadow: Shadow) -> Array:
        """Linear colours (H, 3) of the hits."""
        # vertex attributes at the hits
        attributes = hits.interpolate(self.mesh, np.concatenate([self.local, self.normals], 1))
        local, normals = attributes[:, :3], normalised(attributes[:, 3:])
        colour, gloss = self._surface(self.part[hits.triangle], local, normals)
        # diffuse light
        lit = self.lighting.key_visibility(hits, normals, shadow, offset=0.004)
        openness = 0.35 + 0.65 * smoothstep(0.0, 0.30, local[:, 1])
        diffuse = self.lighting.diffuse(normals, openness, lit)
        # reflections of sky and sun
        facing = -dot(normals, hits.directions)
        mirrored = hits.directions + 2.0 * facing[:, None] * normals
        fresnel = gloss * (0.05 + 0.55 * (1.0 - np.clip(facing, 0.0, 1.0)) ** 4)
        sky = mix(
            np.array([0.30, 0.29, 0.28]), np.array([0.80, 0.90, 1.0]), smoothstep(-0.08, 0.12, mirrored[:, 1])
        )
        sun = self.lighting.highlight(normals, hits.directions, lit, np.where(gloss > 0.5, 160.0, 30.0))
        return soft_clip(
            decode_srgb(colour) * diffuse
            + fresnel[:, None] * sky * openness[:, None]
            + 0.6 * gloss[:, None] * sun
        )

    def _surface(self, part: NDArray[np.uint8], local: Array, normals: Array) -> tuple[Array, Array]:
        """Material at points in car units: sRGB colour (H, 3) and gloss (H,)."""
        colour, gloss = np.tile(self.paint, (len(local), 1)), np.full(len(local), 0.9)
        body = np.flatnonzero(part == BODY)
        colour[body], gloss[body] = self._body(local[body], normals[body])
        wheel = np.flatnonzero(part == WHEEL)
        colour[wheel], gloss[wheel] = self._wheel(local[wheel]), 0.3
        colour[part == MIRROR] *= 0.8
        return colour, gloss

    def _body(self, local: Array, normals: Array) -> tuple[Array, Array]:
        """Paint, seams, windows, lights, grille, plates and wheel arches; later ones cover earlier ones."""
        shape, x, y = self.shape, np.abs(local[:, 0]) / (0.5 * self.shape.width), local[:, 1]
        u, level = 0.5 - local[:, 2] / shape.length, local[:, 1] / shape.belt
        seam, handle = self._doors(u, x, y)
        side = (x > 0.6) & (np.abs(normals[:, 0]) > 0.3)
        arch = [np.hypot(local[:, 2] - axle, y - shape.wheel_radius) for axle in shape.axles]
        features = [
            (seam, 0.45 * self.paint, 0.3),
            (handle, (0.25, 0.25, 0.26), 0.8),
            (y < shape.clearance + 0.05, (0.20, 0.20, 0.21), 0.1),
            (self._windows(u, x, y, normals), GLASS, 1.0),
            ((u < 0.07) & _within(x, 0.50, 0.97) & _within(level, 0.54, 0.73), HEADLIGHT, 1.0),
            ((u < 0.03) & (x < 0.46) & _within(level, 0.42, 0.68), GRILLE, 0.4),
            ((u > 0.955) & (x > 0.60) & _within(level, 0.64, 0.88), TAIL_LIGHT, 1.0),
            ((u > 0.97) & (x < 0.26) & _within(level, 0.48, 0.62), PLATE, 0.3),
            (side & (np.min(arch, axis=0) < ARCH * shape.wheel_radius), (0.05, 0.05, 0.055), 0.0),
        ]
        colour, gloss = np.tile(self.paint, (len(local), 1)), np.full(len(local), 0.9)
        for mask, new, shine in features:
            colour[mask], gloss[mask] = new, shine
        return colour, gloss

    def _doors(self, u: Array, x: Array, y: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Masks of the seams and the handles of the doors."""
        shape = self.shape
        doors = _within(u, shape.hood + 0.06, shape.roof_end - 0.04) & (x > 0.7)
        doors &= _within(y, shape.clearance + 0.08, 1.02 * shape.belt)
        edges = (shape.hood + 0.06, self.pillar, shape.roof_end - 0.05)
        seam = np.min([np.abs(u - edge) for edge in edges], axis=0) < 0.004
        handle = (np.abs(y - 0.90 * shape.belt) < 0.012) & (np.abs(u - self.pillar + 0.035) < 0.018)
        return doors & seam, doors & handle

    def _windows(self, u: Array, x: Array, y: Array, normals: Array) -> NDArray[np.bool_]:
        """Mask of side windows between the pillars, windscreen and rear window."""
        shape = self.shape
        above = np.clip((y - shape.belt) / (shape.height - shape.belt), 0.0, 1.0)
        front = shape.hood + (shape.windscreen_end - shape.hood) * above
        rear = shape.rear_window_end + (shape.roof_end - shape.rear_window_end) * above
        glazed = (y > 1.05 * shape.belt) & (y < 0.93 * shape.height)
        side = (
            (np.abs(normals[:, 0]) > 0.45)
            & glazed
            & (u > front + 0.035)
            & (u < rear - 0.03)
            & (np.abs(u - self.pillar) > 0.012)
        )
        if shape.kind == "van":
            side &= u < 0.58
        screens = (np.abs(normals[:, 0]) <= 0.45) & glazed & (x < 0.80) & (np.abs(normals[:, 2]) > 0.15)
        ahead, behind = np.abs(u - front) < 0.07, (np.abs(u - rear) < 0.06) & (y < 0.92 * shape.height)
        return side | (screens & (ahead | behind))

    def _wheel(self, local: Array) -> Array:
        """Colour (H, 3) of tyres and rims, sRGB."""
        z, y = local[:, 2], local[:, 1] - self.shape.wheel_radius
        front, rear = self.shape.axles
        z = z - np.where(np.abs(z - front) < np.abs(z - rear), front, rear)
        radius, turn = np.hypot(z, y) / self.shape.wheel_radius, np.arctan2(y, z)
        metal = (radius < 0.66) & ((np.cos(self.spokes * turn) > -0.5) | (radius < 0.22) | (radius > 0.58))
        return np.where(metal[:, None], self.rim, np.where(radius < 0.66, 0.10, 0.16)[:, None])


def make_car(seed: int | tuple[int, ...]) -> Car:
    """Build the car of a seed, the same on every machine."""
    rng = np.random.default_rng(seed)
    shape = draw_shape(rng)
    local, part = build_mesh(shape)
    middle = np.array([0.0, 0.5 * shape.height, 0.0])
    centred = local.vertices - middle
    scale = RADIUS / np.sqrt(dot(centred, centred).max())
    mesh = Mesh(vertices=centred * scale, triangles=local.triangles)
    return Car(
        mesh=mesh,
        shape=shape,
        part=part,
        local=local.vertices,
        paint=np.clip(
            PAINTS[rng.integers(len(PAINTS))] * rng.uniform(0.85, 1.08, 1) + rng.normal(0.0, 0.02, 3),
            0.03,
            0.97,
        ),
        rim=float(rng.uniform(0.55, 0.85)),
        spokes=int(rng.integers(5, 11)),
        pillar=float(rng.uniform(0.47, 0.55)),
        lighting=_draw_daylight(rng),
        normals=mesh.vertex_normals(),
    )


def _within(x: Array, low: float, high: float) -> NDArray[np.bool_]:
    return (x > low) & (x < high)


def _draw_daylight(rng: np.random.Generator) -> Lighting:
    """Draw a high sun at any azimuth, and a bright sky."""
    turn, height = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.7, 1.3)
    key = np.array([np.cos(turn) * np.cos(height), np.sin(height), np.sin(turn) * np.cos(height)])
    return Lighting(
        key=key,
        key_colour=rng.uniform(0.55, 0.8) * np.array([1.04, 1.0, 0.95]),
        fill=normalised(np.array([-key[0], 0.3, -key[2]])),
        fill_colour=np.full(3, 0.22),
        sky_colour=rng.uniform(0.45, 0.6) * np.array([0.96, 1.0, 1.05]),
        ground_colour=np.full(3, 0.28),
    )
