"""Colours of skin, lips, brows, beard, eyes and clothes as functions of canonical positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gram.data.cameras import dot
from gram.data.synthetic.heads.shape import Person
from gram.data.synthetic.waves import Waves, mix, smoothstep

Array = NDArray[np.float64]

SKIN_TONES = np.array(
    [  # sRGB by increasing melanin
        [0.955, 0.815, 0.735],
        [0.905, 0.730, 0.620],
        [0.800, 0.600, 0.470],
        [0.620, 0.430, 0.315],
        [0.450, 0.300, 0.220],
    ]
)
IRIS_COLOURS = np.array(
    [
        [0.30, 0.17, 0.09],
        [0.20, 0.11, 0.07],
        [0.42, 0.29, 0.14],
        [0.36, 0.50, 0.66],
        [0.36, 0.46, 0.30],
        [0.45, 0.48, 0.50],
    ]
)
DARK_IRIS = np.array([0.45, 0.50, 0.05, 0.0, 0.0, 0.0])
LIGHT_IRIS = np.array([0.22, 0.08, 0.16, 0.28, 0.14, 0.12])
LIP_TINTS = np.array(
    [[0.92, 0.72, 0.70], [0.88, 0.62, 0.61], [0.80, 0.36, 0.38], [0.72, 0.22, 0.27], [0.78, 0.42, 0.50]]
)
CLOTHES = np.array(
    [
        [0.16, 0.18, 0.22],
        [0.90, 0.89, 0.86],
        [0.20, 0.30, 0.48],
        [0.55, 0.16, 0.18],
        [0.22, 0.36, 0.28],
        [0.72, 0.58, 0.36],
        [0.50, 0.52, 0.56],
        [0.42, 0.28, 0.42],
        [0.80, 0.50, 0.44],
        [0.36, 0.55, 0.62],
    ]
)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Colours (sRGB) and painted features of a head (canonical decimetres)."""

    melanin: float
    """Skin tone, 0 (very light) to 1 (very dark)."""
    skin: Array
    lips: Array
    blush: float
    freckles: float
    brow_colour: Array
    brow_strength: float
    brow_height: float
    brow_width: float
    brow_arch: float
    beard: float
    """Opacity of the beard, 0 to 1."""
    beard_chin_only: bool
    stubble: float
    """Darkness of shaved cheeks, 0 to 1."""
    iris: Array
    gaze: Array
    """(3,) unit direction of gaze of both eyes."""
    clothes: Array
    neckline: float
    """Depth of the collar in front."""
    v_neck: float
    mottle: Waves
    spots: Waves

    def brows(self, canonical: Array) -> Array:
        """Opacity (H,) of the brows."""
        x = np.abs(canonical[:, 0])
        along = (x - 0.105) / 0.43  # 0 at the inner end, 1 at the tail
        line = self.brow_height + self.brow_arch * (1.0 - ((along - 0.62) / 0.62) ** 2) - 0.02 * along
        width = (
            self.brow_width
            * (1.0 - 0.65 * np.clip(along, 0.0, 1.0) ** 2)
            * (0.75 + 0.25 * smoothstep(0.0, 0.3, along))
        )
        across = np.abs(canonical[:, 1] - line) / width
        ends = smoothstep(-0.04, 0.22, along) * smoothstep(1.03, 0.85, along)
        return self.brow_strength * smoothstep(1.25, 0.55, across) * ends * (canonical[:, 2] > 0.7)

    def beard_cover(self, canonical: Array, lips: Array) -> Array:
        """Coverage (H,) with beard, 0 to 1: jaw, chin and upper lip."""
        x, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
        upper = 6.60 + 0.46 * smoothstep(0.30, 0.64, x)
        jaw = (
            smoothstep(upper + 0.05, upper - 0.08, y) * smoothstep(6.02, 6.22, y) * smoothstep(0.30, 0.50, z)
        )
        moustache = (
            smoothstep(6.90 - 0.25 * x, 6.82 - 0.25 * x, y)
            * smoothstep(6.66, 6.74, y)
            * smoothstep(0.36, 0.24, x)
            * (z > 1.0)
        )
        sides = (
            smoothstep(0.34, 0.16, x + 0.5 * np.abs(y - 6.42))
            * smoothstep(6.60, 6.5, y)
            * smoothstep(6.1, 6.25, y)
        )
        cover = np.maximum(sides if self.beard_chin_only else np.maximum(jaw, sides), moustache) * (z > 0.3)
        return cover * (1.0 - smoothstep(0.15, 0.5, lips))

    def collar(self, canonical: Array) -> Array:
        """Coverage (H,) with clothes, 0 to 1, below a tilted neckline."""
        x, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
        line = 5.95 - 0.42 * np.clip(z + 0.3, 0.0, 1.3) - self.neckline * smoothstep(0.2, 0.9, z)
        line += self.v_neck * (np.clip(x / 0.5, 0.0, 1.0) - 1.0) * smoothstep(0.2, 0.7, z)
        return smoothstep(0.02, -0.02, y - line)

    def paint_skin(self, canonical: Array, lips: Array, mouth: Array, ears: Array) -> Array:
        """Colour (H, 3) of bare skin and lips, sRGB."""
        x, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
        colour = np.repeat(self.skin[None], len(canonical), 0)
        colour *= 1.0 + 0.035 * self.mottle(canonical)[:, None]
        # blush of cheeks, nose and ears
        cheeks = np.exp(-(((x - 0.42) / 0.20) ** 2) - ((y - 6.98) / 0.20) ** 2) * (z > 0.6)
        nose = np.exp(-((x / 0.14) ** 2) - ((y - 6.98) / 0.12) ** 2) * (z > 1.3)
        warm = self.blush * np.maximum(np.maximum(cheeks, 0.6 * nose), 0.6 * ears)
        colour *= 1.0 - warm[:, None] * np.array([0.02, 0.20, 0.18])
        sockets = np.exp(-(((x - 0.29) / 0.17) ** 2) - ((y - 7.34) / 0.15) ** 2) * (z > 0.8)
        colour *= 1.0 - sockets[:, None] * np.array([0.10, 0.16, 0.15])
        if self.freckles:
            spots = self.freckles * smoothstep(0.35, 0.6, self.spots(canonical)) * np.maximum(cheeks, nose)
            colour *= 1.0 - spots[:, None] * np.array([0.15, 0.3, 0.35])
        # stubble, lips and inside of the mouth
        shadow = self.stubble * self.beard_cover(canonical, lips)
        colour *= 1.0 - shadow[:, None] * np.array([0.40, 0.32, 0.27])
        colour = mix(colour, self.lips, smoothstep(0.2, 0.75, lips))
        return mix(colour, np.array([0.22, 0.07, 0.07]), smoothstep(0.4, 0.9, mouth))

    def paint_eye(self, directions: Array) -> Array:
        """Colour (H, 3) of an eyeball at unit directions (H, 3) from its centre, sRGB."""
        angle = np.arccos(np.clip(dot(directions, self.gaze), -1.0, 1.0))
        white = np.array([0.93, 0.915, 0.90])
        iris = mix(self.iris * 1.25, self.iris * 0.55, smoothstep(0.30, 0.52, angle))
        eye = mix(iris, white, smoothstep(0.50, 0.56, angle))
        return mix(np.array([0.03, 0.03, 0.03]), eye, smoothstep(0.20, 0.25, angle))


def draw_looks(person: Person, hair_colour: Array, rng: np.random.Generator) -> Looks:
    """Draw looks that fit the person and the colour of their hair."""
    african, asian, caucasian = person.races
    melanin = float(
        np.clip(0.80 * african + 0.36 * asian + 0.16 * caucasian + rng.normal(0.0, 0.09), 0.0, 1.0)
    )
    stops = np.linspace(0.0, 1.0, len(SKIN_TONES))
    skin = np.array([np.interp(melanin, stops, SKIN_TONES[:, k]) for k in range(3)])
    skin = np.clip(skin * (1.0 + rng.normal(0.0, [0.012, 0.018, 0.022])), 0.0, 0.97)
    painted = person.male < 0.5 and not person.child and rng.uniform() < 0.5
    tint = LIP_TINTS[rng.integers(2, 5) if painted else rng.integers(0, 2)]
    iris_odds = LIGHT_IRIS * caucasian**1.5 + DARK_IRIS * (1.0 - caucasian**1.5)
    grown_man = person.male > 0.6 and not person.child
    gaze = np.array([rng.normal(0.0, 0.14), rng.normal(-0.01, 0.06), 1.0])
    return Looks(
        melanin=melanin,
        skin=skin,
        lips=np.clip(skin * tint + 0.02, 0.0, 1.0),
        blush=float(rng.uniform(0.2, 1.0)) * (1.0 - 0.6 * melanin),
        freckles=float(rng.uniform(0.3, 0.9)) if melanin < 0.35 and rng.uniform() < 0.15 else 0.0,
        brow_colour=np.clip(hair_colour * 0.75, 0.05, 0.55),
        brow_strength=float(rng.uniform(0.7, 0.98)),
        brow_height=float(rng.normal(7.575, 0.018)),
        brow_width=float(rng.uniform(0.032, 0.05) + 0.012 * person.male),
        brow_arch=float(rng.uniform(0.0, 0.07)),
        beard=float(rng.uniform(0.75, 1.0)) if grown_man and rng.uniform() < 0.28 else 0.0,
        beard_chin_only=bool(rng.uniform() < 0.3),
        stubble=float(rng.uniform(0.0, 0.8)) if grown_man else 0.0,
        iris=IRIS_COLOURS[rng.choice(len(IRIS_COLOURS), p=iris_odds / iris_odds.sum())],
        gaze=gaze / np.sqrt((gaze**2).sum()),
        clothes=np.clip(CLOTHES[rng.integers(len(CLOTHES))] * rng.uniform(0.8, 1.15), 0.03, 0.95),
        neckline=float(rng.uniform(-0.05, 0.12)),
        v_neck=float(rng.uniform(0.15, 0.5)) if rng.uniform() < 0.3 else 0.0,
        mottle=Waves.draw(rng, 5.0, count=4),
        spots=Waves.draw(rng, 60.0, count=6),
    )
