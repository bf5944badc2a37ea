"""Lighting of procedural subjects: a key light with soft shadows, a fill light and a sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gram.data.cameras import dot, normalised
from gram.data.synthetic.raycaster import RayHits, Shadow

Array = NDArray[np.float64]

SOFTNESS = 0.10
"""Radius of the key light as seen from the subject, radians."""


@dataclass(frozen=True, kw_only=True)
class Lighting:
    """Lights: unit directions towards them, and linear colours (3,)."""

    key: Array
    key_colour: Array
    fill: Array
    fill_colour: Array
    sky_colour: Array
    ground_colour: Array

    def diffuse(self, normals: Array, openness: Array, lit: Array, wrap: Array | float = 0.0) -> Array:
        """Diffuse light (H, 3) of a surface, with wrap lighting.

        Args:
            normals: unit normals (H, 3).
            openness: (H,) fraction of the sky that is not occluded nearby.
            lit: (H,) visibility of the key light.
            wrap: extent of wrap lighting beyond the terminator, 0 to 1; one value, or one per colour channel
                (largest for red in skin).
        """
        wrap = np.broadcast_to(np.asarray(wrap, dtype=np.float64), 3)
        cosine = dot(normals, self.key)[:, None]
        key = np.clip((cosine + wrap) / (1.0 + wrap), 0.0, None) * lit[:, None]
        fill = np.clip(dot(normals, self.fill) * 0.6 + 0.4, 0.0, None) * openness
        up = (0.5 + 0.5 * normals[:, 1])[:, None]
        sky = (self.sky_colour * up + self.ground_colour * (1.0 - up)) * openness[:, None]
        return key * self.key_colour + fill[:, None] * self.fill_colour + sky

    def highlight(self, normals: Array, directions: Array, lit: Array, sharpness: Array) -> Array:
        """Specular light (H, 3) of the key for rays (H, 3): Blinn-Phong with exponents `sharpness` (H,)."""
        halfway = normalised(self.key - directions)
        strength = np.clip(dot(normals, halfway), 0.0, 1.0) ** sharpness * lit
        return strength[:, None] * self.key_colour

    def key_visibility(self, hits: RayHits, normals: Array, shadow: Shadow, offset: float) -> Array:
        """Visibility (H,) of the key light at hits, 0 or 1; neighbouring rays sample different points of it.

        Args:
            hits: points on the mesh.
            normals: (H, 3) unit normals.
            shadow: visibility test.
            offset: distance of the origins of shadow rays from the surface, world units.
        """
        # disc of the light
        facing = np.flatnonzero(dot(normals, self.key) > -0.2)
        side = normalised(np.cross(self.key, [0.0, 1.0, 0.1]))
        other = np.cross(side, self.key)
        # points on it by Roberts' R2 sequence, even over runs of rays
        number = hits.ray[facing]
        turn = 2.0 * np.pi * ((number * 0.7548776662466927) % 1.0)
        radius = SOFTNESS * np.sqrt((number * 0.5698402909980532) % 1.0)
        aims = self.key + (radius * np.cos(turn))[:, None] * side + (radius * np.sin(turn))[:, None] * other
        # shadow rays
        starts = hits.points[facing] + offset * (normals[facing] + self.key)
        visible = np.ones(len(hits.ray))
        visible[facing] = shadow(starts, normalised(aims))
        return visible


def draw_studio(rng: np.random.Generator, exposure: float) -> Lighting:
    """Draw portrait lighting: a key from the front and above, and enough fill for dark faces."""
    turn, height = rng.uniform(-0.95, 0.95), rng.uniform(0.15, 0.85)
    key = np.array([np.sin(turn) * np.cos(height), np.sin(height), np.cos(turn) * np.cos(height)])
    fill = normalised(np.array([-key[0] + rng.normal(0.0, 0.3), 0.1, 0.7]))
    warmth = rng.normal(0.0, 0.05)
    tint = np.array([1.0 + warmth, 1.0, 1.0 - warmth])
    contrast = rng.uniform(0.0, 1.0)
    return Lighting(
        key=key,
        key_colour=exposure * (0.50 + 0.28 * contrast) * tint,
        fill=fill,
        fill_colour=exposure * (0.26 - 0.14 * contrast) * (2.0 - tint),
        sky_colour=exposure * (0.48 - 0.10 * contrast) * (2.0 - tint),
        ground_colour=exposure * (0.26 - 0.06 * contrast) * np.array([1.04, 1.0, 0.96]),
    )


def soft_clip(colours: Array) -> Array:
    """Compress linear values above 0.75 smoothly into (0.75, 1), to keep structure in highlights."""
    return np.where(colours > 0.75, 0.75 + 0.25 * np.tanh((colours - 0.75) / 0.25), colours)
