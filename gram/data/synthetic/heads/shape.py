"""Random people: weights of shape targets, and the placement of their busts in the world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gram.data.synthetic.heads.basis import LEFT_EYE, RIGHT_EYE, SKIN, HeadBasis, load_basis

Array = NDArray[np.float64]

RACES = ("african", "asian", "caucasian")
OPPOSITES = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("compress", "uncompress"),
    ("concave", "convex"),
    ("pointed", "triangle"),
)
CALM = (
    "head-age",
    "head-trans",
    "head-angle",
    "neck",
    "head-fat",
    "ear-trans",
    "ear-flap",
    "ear-rot",
    "septumangle",
    "double",
    "mouth-angles",
)
"""Parts of the names of targets with a small spread, which look odd or move the head out of the frame."""
SPREAD, CALM_SPREAD = 0.26, 0.08
"""Standard deviations of target weights."""

WORLD_SCALE = 0.064
"""World units per decimetre of the mean head; its crown-to-chin height is 0.134."""
ORIGIN_DEPTH = 0.47
"""z of the world's origin, the middle of the head, in decimetres."""
EYES_TO_CHIN, CROWN_TO_CHIN = 1.03, 2.09
"""Heights on the mean head, decimetres."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Attributes that shape and appearance of a head have in common."""

    races: tuple[float, float, float]
    """Weights of RACES, summing to 1."""
    male: float
    """Gender, 0 (female) to 1 (male)."""
    old: float
    """Age, 0 (young) to 1 (old)."""
    child: float
    """Childlikeness, 0 (adult) to 1 (child)."""


def draw_person(rng: np.random.Generator) -> Person:
    """Draw a person; every combination of race, gender and age is possible."""
    african, asian, caucasian = rng.dirichlet([0.45] * 3).tolist()
    male = float(rng.beta(0.3, 0.3))
    old = float(rng.uniform() ** 1.8)
    child = float(rng.uniform(0.3, 0.8)) if rng.uniform() < 0.1 else 0.0
    return Person(races=(african, asian, caucasian), male=male, old=0.0 if child else old, child=child)


def draw_shape(person: Person, rng: np.random.Generator) -> dict[str, float]:
    """Draw weights of the shape targets by name: person, individual features, asymmetry and expression."""
    weights = _macro_weights(person, fatness=float(np.clip(rng.normal(0.0, 0.4), -0.8, 0.9)))
    pairs, shapes, asymmetries = _feature_names()
    amounts = np.clip(rng.normal(size=len(pairs)), -2.5, 2.5)
    for (feature, targets), amount in zip(pairs.items(), amounts.tolist(), strict=True):
        spread = CALM_SPREAD if any(word in feature for word in CALM) else SPREAD
        for less, more in targets:
            weights[more if amount > 0 else less] = abs(amount) * spread
    weights[shapes[rng.integers(len(shapes))]] = float(rng.uniform(0.0, 0.6))
    for name, amount in zip(asymmetries, rng.normal(0.0, 0.08, len(asymmetries)).tolist(), strict=True):
        weights[name] = max(0.0, amount)
    weights |= _draw_expression(rng)
    for side in "lr":  # slightly large eyes stay visible in small images
        weights[f"face/{side}-eye-scale-incr"] = weights.get(f"face/{side}-eye-scale-incr", 0.0) + 0.25
    return weights


def place_in_world(vertices: Array, basis: HeadBasis) -> Array:
    """Transform vertices from decimetres to the world: similar size, the face centred on the z axis."""
    eyes = (vertices[basis.part == LEFT_EYE].mean(0) + vertices[basis.part == RIGHT_EYE].mean(0)) / 2
    chin = vertices[_chin_vertices()].mean(0)
    crown = vertices[basis.part == SKIN, 1].max()
    # mean of a constant distance from eyes to chin (alignment of photos) and from crown to chin (framing)
    unit = 0.5 * (eyes[1] - chin[1]) / EYES_TO_CHIN + 0.5 * (crown - chin[1]) / CROWN_TO_CHIN
    middle = 0.5 * (eyes[1] + chin[1]) + 0.25 * unit
    height = 0.5 * middle + 0.5 * (crown - 1.3 * unit)
    origin = np.array([0.5 * (eyes[0] + chin[0]), height, ORIGIN_DEPTH])
    return (vertices - origin) * (WORLD_SCALE / unit)


def _macro_weights(person: Person, fatness: float) -> dict[str, float]:
    """Weights of the race and body weight targets; each group sums to 1, as the base mesh requires."""
    ages = {"child": person.child, "old": person.old, "young": 1.0 - person.child - person.old}
    genders = {"female": 1.0 - person.male, "male": person.male}
    builds = {
        "averageweight": 1.0 - abs(fatness),
        "maxweight": max(fatness, 0.0),
        "minweight": max(-fatness, 0.0),
    }
    weights = {}
    for age, age_share in ages.items():
        for gender, gender_share in genders.items():
            share = age_share * gender_share
            for race, race_share in zip(RACES, person.races, strict=True):
                weights[f"race/{race}-{gender}-{age}"] = share * race_share
            for build, build_share in builds.items():
                weights[f"weight/{gender}-{age}-{build}"] = share * build_share
    return weights


def _draw_expression(rng: np.random.Generator) -> dict[str, float]:
    """Draw a mild expression: mostly neutral or smiling, sometimes laughing, astonished, stern or sad."""
    kind = rng.choice(
        ["neutral", "smile", "laugh", "astonished", "stern", "sad"], p=[0.32, 0.38, 0.14, 0.06, 0.06, 0.04]
    )
    strength = float(rng.uniform(0.35, 0.95))
    both = {
        "neutral": {"mouthSmile": 0.5},
        "smile": {"mouthSmile": 1.05, "cheekSquint": 0.6, "eyeSquint": 0.1},
        "laugh": {"mouthSmile": 1.0, "cheekSquint": 0.6, "mouthUpperUp": 0.6, "mouthLowerDown": 0.3},
        "astonished": {"browOuterUp": 0.9, "eyeWide": 0.5},
        "stern": {"browDown": 0.8, "mouthPress": 0.5},
        "sad": {"mouthFrown": 0.6},
    }[kind]
    middle = {
        "laugh": {"jawOpen": 0.16},
        "astonished": {"browInnerUp": 0.9, "jawOpen": 0.18},
        "sad": {"browInnerUp": 0.7},
    }.get(kind, {})
    weights = {f"expression/{name}": strength * amount for name, amount in middle.items()}
    for name, amount in both.items():
        for side in ("Left", "Right"):
            weights[f"expression/{name}{side}"] = strength * amount * float(rng.uniform(0.85, 1.15))
    lids = float(rng.uniform(0.0, 0.45))
    for side in ("Left", "Right"):
        weights[f"expression/eyeWide{side}"] = weights.get(f"expression/eyeWide{side}", 0.0) + lids
    return weights


@lru_cache(maxsize=1)
def _chin_vertices() -> NDArray[np.int64]:
    """Indices of vertices at the front of the chin."""
    x, y, z = load_basis().canonical.T
    return np.flatnonzero((np.abs(x) < 0.15) & (y > 6.25) & (y < 6.40) & (z > 1.25))


@lru_cache(maxsize=1)
def _feature_names() -> tuple[dict[str, list[tuple[str, str]]], list[str], list[str]]:
    """Names of face targets: opposite pairs by feature (left and right together), head shapes, asymmetry."""
    names = sorted(name for name in load_basis().names if name.startswith("face/"))
    pairs: dict[str, list[tuple[str, str]]] = {}
    paired = set()
    for name in names:
        for less, more in OPPOSITES:
            opposite = name.removesuffix(less) + more
            if name.endswith(f"-{less}") and opposite in names:
                feature = name.removeprefix("face/").removeprefix("l-").removeprefix("r-")
                pairs.setdefault(feature, []).append((name, opposite))
                paired |= {name, opposite}
                break
    rest = [name for name in names if name not in paired]
    shapes = [name for name in rest if name.startswith("face/head-")]
    return pairs, shapes, [name for name in rest if name.startswith("face/asym")]
