"""What the GRAM paper (Deng et al., CVPR 2022, arXiv 2112.08867) reports, and how it was measured.

Its distances cannot be compared with ours in value: other features, other pictures. Ratios between samplers
and between numbers of points are the paper's claim, and what a sweep can be held against.
"""

PROTOCOL = "FID 5k, Inception features; data set and resolution not stated"
OVER_POINTS = {
    "hierarchical": {6: 117.0, 12: 62.6, 24: 35.4, 36: 32.9, 48: 30.0},
    "manifold": {6: 27.4, 12: 27.0, 24: 25.8, 36: 25.8, 48: 25.2},
}
"""Sampler (NeRF-H, learned M) -> points per ray -> FID."""
AT_24_POINTS = {"hierarchical": 35.4, "planes": 28.3, "spheres": 27.8, "manifold": 25.8}
"""Sampler -> FID at 24 points per ray."""
NAMES = {"hierarchical": "NeRF-H", "planes": "planes", "spheres": "spheres", "manifold": "learned M"}
"""Sampler -> what the paper calls it."""


def lines() -> dict[str, dict[int, float]]:
    """Sampler -> points per ray -> FID, of all that is reported."""
    return {kind: OVER_POINTS.get(kind, {24: value}) for kind, value in AT_24_POINTS.items()}
