"""Samplers: where on a ray the radiance field is evaluated, and how densities become occupancies.

| kind | where | composited |
|---|---|---|
| manifold | on isosurfaces of a learned field, and a background plane | constant delta |
| spheres | on the same isosurfaces, as they are before any training | constant delta |
| planes | on planes of constant z, the last of them the background plane | constant delta |
| stratified | at random, once in each of n bins | distance to the next sample |
| hierarchical | half stratified, half where those found something | distance to the next sample |
| neusample | where a network of the ray wants them | distance to the next sample |
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
"""All samplers by kind, in the order of tables and figures: the one place that lists them."""

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
