"""Hair: coverage and thickness in canonical coordinates, and a closed mantle mesh of long hair.

Short hair is the displaced and painted scalp; its hairline is evaluated at every hit, at image resolution.
Long hair is a mantle around the back and the sides, a loft of closed crescents without open edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gram.data.synthetic.heads.shape import Person
from gram.data.synthetic.waves import Waves, smoothstep

Array = NDArray[np.float64]

CENTRE = np.array([0.0, 7.35, 0.45])
"""Middle of the skull in canonical decimetres."""
HAIRLINE_AZIMUTH = np.array([0, 0.35, 0.6, 0.8, 0.95, 1.08, 1.2, 1.32, 1.45, 1.6, 1.78, 2.1, 2.6, 3.15])
HAIRLINE_HEIGHT = np.array(
    [0.70, 0.69, 0.64, 0.56, 0.44, 0.20, -0.10, -0.18, -0.05, 0.0, -0.25, -0.50, -0.62, -0.64]
)
"""Hairline from the forehead over the temples and around the ears to the nape: azimuth from the face, and
elevation, both relative to CENTRE, radians."""
PALETTE = {
    "black": (0.115, 0.10, 0.10),
    "espresso": (0.185, 0.13, 0.105),
    "brown": (0.30, 0.20, 0.13),
    "chestnut": (0.42, 0.26, 0.16),
    "dark blond": (0.56, 0.43, 0.28),
    "blond": (0.80, 0.66, 0.43),
    "red": (0.58, 0.27, 0.13),
}
DARK_SHARES = (0.62, 0.28, 0.08, 0.02, 0.0, 0.0, 0.0)
LIGHT_SHARES = (0.10, 0.18, 0.24, 0.17, 0.12, 0.12, 0.07)
GREY = np.array([0.70, 0.69, 0.68])

MANTLE_RINGS, MANTLE_SIDES = 22, 26
CROWN, EARS = 8.38, 7.5
"""Upper and lower height of the part of the mantle that follows the skull, decimetres."""
OPENING_DEPTH = np.array([0.0, 0.15, 0.35, 0.6, 1.1, 1.8, 3.4])
OPENING_AZIMUTH = np.array([0.05, 0.3, 0.75, 0.95, 1.08, 1.15, 1.25])
"""Front edge of the mantle: depth below the crown (decimetres) and azimuth (radians)."""


@dataclass(frozen=True, kw_only=True)
class Hair:
    """Hairstyle; lengths in decimetres of the mean head, angles in radians."""

    colour: Array
    """(3,) sRGB."""
    density: float
    """Opacity, 0 (bald) to 1 (no skin visible)."""
    sides: float
    """Thickness at the sides and the back."""
    top: float
    """Thickness on top."""
    front: float
    """Elevation added to the hairline at the forehead: positive if receding, negative for a fringe."""
    temples: float
    """Elevation added to the hairline at the temples."""
    parting: float
    """Asymmetry of the thickness, -1 to 1."""
    curls: float
    """Roughness of the outline, 0 to 1."""
    hem: float | None
    """Canonical height of the lower end of long hair; None for short hair."""
    opening: float
    """Amount by which long hair is swept back from the face, 0 to 1."""
    waves: Waves
    strands: Waves

    def coverage(self, canonical: Array, low: float, high: float) -> Array:
        """Coverage (H,) of the skin with hair, 0 to 1.

        Args:
            canonical: positions (H, 3) on the mean head.
            low: elevation above the hairline where coverage begins, radians.
            high: elevation where it is complete.
        """
        offset = canonical - CENTRE
        around = np.arctan2(np.abs(offset[:, 0]), offset[:, 2])
        up = np.arctan2(offset[:, 1], np.sqrt(offset[:, 0] ** 2 + offset[:, 2] ** 2))
        line = np.interp(around, HAIRLINE_AZIMUTH, HAIRLINE_HEIGHT)
        line += self.front * smoothstep(1.0, 0.3, around)
        line += self.temples * np.exp(-(((around - 0.72) / 0.32) ** 2))
        line += 0.03 * self.waves(canonical * 4.0)
        return smoothstep(low, high, up - line)

    def thickness(self, canonical: Array) -> Array:
        """Thickness (H,) of hair at full coverage, decimetres."""
        up = smoothstep(7.55, 8.25, canonical[:, 1])
        lean = 1.0 + self.parting * np.tanh(2.5 * canonical[:, 0])
        lift = self.sides + (self.top - self.sides) * up * lean
        lift *= 0.3 + 0.7 * smoothstep(6.7, 7.4, canonical[:, 1])  # thinner towards the neck
        return lift * (1.0 + 0.35 * self.curls * self.waves(canonical * (1.0 + 2.0 * self.curls)))


def draw_hair(person: Person, rng: np.random.Generator) -> Hair:
    """Draw a hairstyle with probabilities that depend on the person."""
    style = _draw_style(person, rng)
    full = {
        "density": 1.0,
        "front": float(rng.normal(0.0, 0.03)),
        "temples": float(np.abs(rng.normal(0, 0.07)) * person.male),
    }
    if person.male > 0.5 and rng.uniform() < 0.15 + 0.4 * person.old:  # receding
        full |= {"front": float(rng.uniform(0.05, 0.25)), "temples": float(rng.uniform(0.05, 0.22))}
    fringe = style in ("bob", "long", "medium") and rng.uniform() < 0.35
    if fringe:
        full |= {"front": float(rng.uniform(-0.30, -0.18)), "temples": -0.12}
    lengths = {
        "bald": {"density": float(rng.uniform(0.0, 0.45)), "sides": 0.0, "top": 0.0},
        "cropped": {"sides": float(rng.uniform(0.02, 0.05)), "top": float(rng.uniform(0.03, 0.08))},
        "short": {"sides": float(rng.uniform(0.04, 0.10)), "top": float(rng.uniform(0.12, 0.26))},
        "medium": {"sides": float(rng.uniform(0.12, 0.20)), "top": float(rng.uniform(0.15, 0.28))},
        "afro": {"sides": float(rng.uniform(0.16, 0.34)), "top": float(rng.uniform(0.22, 0.38))},
        "bob": {"sides": 0.10, "top": 0.13, "hem": float(rng.uniform(6.15, 6.75))},
        "long": {"sides": 0.10, "top": 0.13, "hem": float(rng.uniform(4.6, 5.9))},
    }[style]
    defaults = {
        "hem": None,
        "parting": float(rng.uniform(-0.3, 0.3)),
        "curls": 1.0 if style == "afro" else float(rng.uniform(0.0, 0.5)),
    }
    return Hair(
        colour=_draw_colour(person, rng),
        opening=float(rng.uniform(0.0, 1.0)),
        waves=Waves.draw(rng, 4.0, count=3),
        strands=Waves.draw(rng, 34.0, stretch=np.array([1.0, 0.12, 0.7])),
        **(full | defaults | lengths),
    )


def mantle(hair: Hair) -> tuple[Array, NDArray[np.int64]]:
    """Build the closed surface of long hair: vertices (V, 3), canonical decimetres, and triangles (T, 3).

    Rings are crescents of constant height: outside from one front edge around the back to the other, and
    back along the inside.
    """
    assert hair.hem is not None
    rings = _crescents(hair)
    vertices = np.concatenate([rings.reshape(-1, 3), rings[[0, -1]].mean(1)])
    count = 2 * MANTLE_SIDES
    grid = np.arange(MANTLE_RINGS * count).reshape(MANTLE_RINGS, count)
    a, b = grid[:-1].ravel(), np.roll(grid, -1, 1)[:-1].ravel()
    c, d = grid[1:].ravel(), np.roll(grid, -1, 1)[1:].ravel()
    top, bottom = grid[0], grid[-1]
    crown, floor = np.full(count, len(vertices) - 2), np.full(count, len(vertices) - 1)
    triangles = [
        np.stack([a, c, b], 1),
        np.stack([b, c, d], 1),
        np.stack([crown, top, np.roll(top, -1)], 1),
        np.stack([floor, np.roll(bottom, -1), bottom], 1),
    ]
    return vertices, np.concatenate(triangles)


def _crescents(hair: Hair) -> Array:
    """Rings (MANTLE_RINGS, 2 * MANTLE_SIDES, 3) of the mantle from the crown down to the hem."""
    assert hair.hem is not None
    # ellipse of each ring: height, semi-axes and centre
    s = np.linspace(0.0, 1.0, MANTLE_RINGS)[:, None]
    fall = 0.5 - 0.5 * np.cos(np.pi * np.minimum(2.0 * s, 1.0))  # half of the rings follow the skull
    height = np.where(s < 0.5, CROWN + (EARS - CROWN) * fall, EARS + (hair.hem - EARS) * (2.0 * s - 1.0))
    cap = np.sqrt(np.clip(1.0 - np.clip((height - EARS) / (CROWN - EARS), 0.0, 1.0) ** 2.2, 0.0, 1.0))
    below = np.clip(EARS - height, 0.0, 1.0)
    half_width = (0.86 + hair.sides - 0.1 + 0.08 * below) * cap + 0.01
    half_depth = (1.04 - 0.22 * below**2) * cap + 0.01
    middle = 0.42 - 0.06 * below
    # azimuth and thickness along each crescent
    opening = np.interp(CROWN - height, OPENING_DEPTH, OPENING_AZIMUTH) * (1.0 + 0.18 * hair.opening)
    along = np.linspace(-1.0, 1.0, MANTLE_SIDES)
    turn = np.pi + along * (np.pi - opening)
    thickness = (0.02 + 0.18 * np.sqrt(np.clip(1.0 - np.abs(along) ** 8, 0.0, 1.0))) * cap
    # outer and inner side
    rings = []
    for inset in (0.0, thickness):
        forward = np.where(np.cos(turn) > 0, 0.8, 1.0) * np.cos(turn)
        x, z = (half_width - inset) * np.sin(turn), middle + (half_depth - inset) * forward
        rings.append(np.stack([x, np.broadcast_to(height, x.shape), z], -1))
    ring = np.concatenate([rings[0], rings[1][:, ::-1]], 1)
    ring[..., 0] += 0.03 * hair.waves(ring.reshape(-1, 3) * 1.5).reshape(ring.shape[:2]) * below
    return ring


def _draw_style(person: Person, rng: np.random.Generator) -> str:
    styles = ("bald", "cropped", "short", "medium", "afro", "bob", "long")
    female = np.array([0.02, 0.05, 0.14, 0.20, 0.05, 0.24, 0.30])
    male = np.array([0.13, 0.24, 0.38, 0.14, 0.05, 0.02, 0.04])
    odds = male * person.male + female * (1.0 - person.male)
    odds[4] *= 0.2 + 4.0 * person.races[0]
    return str(styles[rng.choice(len(styles), p=odds / odds.sum())])


def _draw_colour(person: Person, rng: np.random.Generator) -> Array:
    light = person.races[2] ** 1.5
    odds = np.array(DARK_SHARES) * (1.0 - light) + np.array(LIGHT_SHARES) * light
    colour = np.array(list(PALETTE.values())[rng.choice(len(PALETTE), p=odds / odds.sum())])
    colour = colour * rng.uniform(0.85, 1.2)
    grey = (
        float(np.clip((person.old - 0.55) * 2.4 + rng.normal(0.0, 0.2), 0.0, 0.95))
        if person.old > 0.4
        else 0.0
    )
    return colour * (1.0 - grey) + GREY * grey
