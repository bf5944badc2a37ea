"""Distances that the GRAM paper reports (Deng et al., CVPR 2022, arXiv 2112.08867), and their protocol.

They cannot be compared with ours in value: other features, other images. Ratios between samplers and between
numbers of points are the paper's claim, and a sweep can be held against those.
"""

PROTOCOL = "FID 5k, Inception features; data set and resolution not stated"
LINES = {
    "hierarchical": {6: 117.0, 12: 62.6, 24: 35.4, 36: 32.9, 48: 30.0},
    "planes": {24: 28.3},
    "spheres": {24: 27.8},
    "manifold": {6: 27.4, 12: 27.0, 24: 25.8, 36: 25.8, 48: 25.2},
}
"""Sampler -> points per ray -> FID."""
NAMES = {"hierarchical": "NeRF-H", "planes": "planes", "spheres": "spheres", "manifold": "learned M"}
"""Sampler -> its name in the paper."""
