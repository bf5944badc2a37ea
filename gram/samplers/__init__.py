"""Samplers: where on a ray the radiance field is evaluated, and how densities become occupancies."""

from gram.samplers.base import Samples
from gram.samplers.surfaces import SurfaceSampler

__all__ = ["Samples", "SurfaceSampler"]
