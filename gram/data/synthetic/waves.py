"""Smooth pseudo-random functions of position, for skin, strands of hair and uneven outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Waves:
    """Mean of a few plane sine waves: a smooth field with values in [-1, 1] and mean 0."""

    frequencies: Array
    """(K, 3) radians per unit of position."""
    phases: Array
    """(K,) radians."""

    @classmethod
    def draw(
        cls, rng: np.random.Generator, frequency: float, *, count: int = 5, stretch: Array | None = None
    ) -> Waves:
        """Draw random directions around one frequency, scaled along each axis by `stretch` (3,)."""
        directions = rng.normal(size=(count, 3))
        directions /= np.sqrt((directions**2).sum(1, keepdims=True))
        scale = frequency * rng.uniform(0.6, 1.4, (count, 1)) * (1.0 if stretch is None else stretch)
        return cls(directions * scale, rng.uniform(0.0, 2 * np.pi, count))

    def __call__(self, points: Array) -> Array:
        """Values (H,) at points (H, 3)."""
        total = np.zeros(len(points))
        for (fx, fy, fz), phase in zip(self.frequencies.tolist(), self.phases.tolist(), strict=True):
            total += np.sin(points[:, 0] * fx + points[:, 1] * fy + points[:, 2] * fz + phase)
        return total / len(self.phases)


def smoothstep(low: Array | float, high: Array | float, x: Array) -> Array:
    """Cubic step from 0 at low to 1 at high; falling if high < low."""
    s = np.clip((x - low) / (high - low), 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def mix(a: Array | float, b: Array | float, weight: Array) -> Array:
    """Interpolate colours (H, 3) or (3,) from a (weight 0) to b (weight 1), weight (H,)."""
    w = weight[:, None]
    return a * (1.0 - w) + b * w
