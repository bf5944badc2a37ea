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

from gram.samplers.base import OPAQUE, Sampler, Samples
from gram.samplers.hierarchical import HierarchicalSampler
from gram.samplers.layered import LayeredSampler
from gram.samplers.neusample import NeusampleSampler
from gram.samplers.noise import Noise
from gram.samplers.planes import PlaneSampler
from gram.samplers.stratified import StratifiedSampler
from gram.samplers.surfaces import SurfaceSampler
from gram.samplers.volume import VolumeSampler

__all__ = [
    "OPAQUE",
    "HierarchicalSampler",
    "LayeredSampler",
    "NeusampleSampler",
    "Noise",
    "PlaneSampler",
    "Sampler",
    "Samples",
    "StratifiedSampler",
    "SurfaceSampler",
    "VolumeSampler",
]
