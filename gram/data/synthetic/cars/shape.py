"""Dimensions of a car.

A car unit is about two metres: x across, y up from the ground, z towards the front. Positions along the car
are also given as u, from 0 at the front bumper to 1 at the rear one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ARCH = 1.14
"""Radius of a wheel arch relative to the wheel's."""
HOOD_SIDE = 0.80
"""Height of the flat part of the side at the wheels, relative to the belt line."""
WHEEL_SIDES = 28


@dataclass(frozen=True, kw_only=True)
class BodyType:
    """Proportions of a type of car; heights in car units, the rest in u (front 0, rear 1)."""

    height: float
    clearance: float
    hood: float
    windscreen: float
    """Length of the windscreen."""
    roof_end: float
    rear_window_end: float
    deck: float
    """Height of the part behind the rear window, relative to the belt line."""


BODY_TYPES = {
    "sedan": BodyType(
        height=0.68,
        clearance=0.11,
        hood=0.29,
        windscreen=0.13,
        roof_end=0.70,
        rear_window_end=0.83,
        deck=1.02,
    ),
    "hatchback": BodyType(
        height=0.71,
        clearance=0.11,
        hood=0.26,
        windscreen=0.13,
        roof_end=0.90,
        rear_window_end=0.975,
        deck=1.02,
    ),
    "suv": BodyType(
        height=0.83,
        clearance=0.16,
        hood=0.27,
        windscreen=0.12,
        roof_end=0.93,
        rear_window_end=0.985,
        deck=1.02,
    ),
    "pickup": BodyType(
        height=0.83,
        clearance=0.17,
        hood=0.28,
        windscreen=0.12,
        roof_end=0.58,
        rear_window_end=0.62,
        deck=0.88,
    ),
    "coupe": BodyType(
        height=0.62,
        clearance=0.10,
        hood=0.33,
        windscreen=0.16,
        roof_end=0.66,
        rear_window_end=0.88,
        deck=1.02,
    ),
    "van": BodyType(
        height=0.91,
        clearance=0.12,
        hood=0.14,
        windscreen=0.10,
        roof_end=0.965,
        rear_window_end=0.99,
        deck=1.02,
    ),
}


@dataclass(frozen=True, kw_only=True)
class CarShape:
    """Dimensions of a car."""

    kind: str
    length: float
    width: float
    height: float
    clearance: float
    belt: float
    """Height of the lower edge of the side windows."""
    hood: float
    windscreen_end: float
    roof_end: float
    rear_window_end: float
    deck: float
    wheel_radius: float
    axles: tuple[float, float]
    """z of the front and the rear axle."""
    squareness: float
    """Exponent of the cross-section: 0 is a box, 1 an ellipse."""
    roof_width: float
    """Width of the roof relative to the body's."""
    softness: float
    """Rounding of the profile's corners, in u."""


def draw_shape(rng: np.random.Generator) -> CarShape:
    """Draw a body type and dimensions."""
    kind = str(rng.choice(list(BODY_TYPES)))
    base = BODY_TYPES[kind]
    length = float(rng.uniform(1.75, 2.25))
    height = base.height * float(rng.uniform(0.94, 1.07))
    clearance = base.clearance * float(rng.uniform(0.9, 1.1))
    belt = height * float(rng.uniform(0.57, 0.64))
    hood = base.hood * float(rng.uniform(0.92, 1.08))
    radius = float(rng.uniform(0.145, 0.17)) * (1.12 if kind in ("suv", "pickup") else 1.0)
    radius = min(radius, HOOD_SIDE * belt / (1.0 + ARCH))  # the arch stays on the side, below the hood
    return CarShape(
        kind=kind,
        length=length,
        width=float(rng.uniform(0.80, 0.94)),
        height=height,
        clearance=clearance,
        belt=belt,
        hood=hood,
        windscreen_end=hood + base.windscreen * float(rng.uniform(0.88, 1.15)),
        roof_end=base.roof_end * float(rng.uniform(0.97, 1.02)),
        rear_window_end=base.rear_window_end,
        deck=belt * base.deck * float(rng.uniform(0.98, 1.04)),
        wheel_radius=radius,
        axles=(
            length * (0.5 - float(rng.uniform(0.17, 0.20))),
            -length * (0.5 - float(rng.uniform(0.18, 0.22))),
        ),
        squareness=float(rng.uniform(0.36, 0.5)),
        roof_width=float(rng.uniform(0.70, 0.80)),
        softness=float(rng.uniform(0.012, 0.018)),
    )
