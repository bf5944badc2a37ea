"""Samplers: choice of the points of a ray, and conversion of their densities to occupancies.

| kind | points | delta |
|---|---|---|
| manifold | isosurfaces of a learned field, and a background plane | constant |
| spheres | the same isosurfaces at initialisation, not trained | constant |
| planes | planes of constant z, the last of them the background plane | constant |
| stratified | one random point in each of n bins | distance to the next sample |
| hierarchical | half stratified, half drawn from the weights of those | distance to the next sample |
| neusample | positions predicted from the ray by a network | distance to the next sample |
"""

from gram.rendering.samplers.base import OPAQUE, Sampler, Samples
from gram.rendering.samplers.counter_rng import Noise
from gram.rendering.samplers.hierarchical import HierarchicalSampler
from gram.rendering.samplers.layered import LayeredSampler
from gram.rendering.samplers.neusample import NeusampleSampler
from gram.rendering.samplers.planes import PlaneSampler
from gram.rendering.samplers.stratified import StratifiedSampler
from gram.rendering.samplers.surfaces import SphereSampler, SurfaceSampler
from gram.rendering.samplers.volume import VolumeSampler

SAMPLERS: dict[str, type[Sampler]] = {
    sampler.kind: sampler
    for sampler in (
        SurfaceSampler,
        SphereSampler,
        PlaneSampler,
        StratifiedSampler,
        HierarchicalSampler,
        NeusampleSampler,
    )
}
"""All sampler classes by kind, in the order of tables and figures."""

__all__ = [
    "OPAQUE",
    "SAMPLERS",
    "HierarchicalSampler",
    "LayeredSampler",
    "NeusampleSampler",
    "Noise",
    "PlaneSampler",
    "Sampler",
    "Samples",
    "SphereSampler",
    "StratifiedSampler",
    "SurfaceSampler",
    "VolumeSampler",
]
