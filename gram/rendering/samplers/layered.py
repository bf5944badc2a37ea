"""Base class of samplers on surfaces without thickness, such as GRAM's manifolds (GRAM, section 3.2)."""

from typing import ClassVar

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.rendering.compositing import occupancy_from_density
from gram.rendering.samplers.base import OPAQUE, Sampler, Samples
from gram.shapes import Bool, Float


class LayeredSampler(Sampler):
    """Ordered surfaces, with an opaque background plane last unless the background is white.

    alpha_i = 1 - exp(-delta sigma_i) with a constant delta, independent of the distance between samples.
    Samples are in the order of the surfaces.

    Args:
        surfaces: number of surfaces, without the plane.
        delta: constant length in the equation of alpha.
        near, far, background_z: see `Sampler`.
    """

    options: ClassVar[tuple[str, ...]] = ("delta", "points")
    has_surfaces = True

    deltas: Tensor

    def __init__(
        self, *, surfaces: int, delta: float, near: float, far: float, background_z: float | None
    ) -> None:
        super().__init__(near=near, far=far, background_z=background_z)
        self.surfaces = surfaces
        deltas = [delta] * surfaces + ([] if background_z is None else [OPAQUE])
        self.register_buffer("deltas", torch.tensor(deltas), persistent=False)

    @property
    def points_per_ray(self) -> int:
        """Number of surfaces, the background plane included."""
        return len(self.deltas)

    @property
    def typical_delta(self) -> float:
        """Constant delta of a surface."""
        return float(self.deltas[0])

    @property
    def layer_spacing(self) -> float:
        """Mean distance between surfaces that fill [near, far]."""
        return (self.far - self.near) / self.surfaces

    @property
    def evenly_spaced(self) -> int:
        """Number of leading samples of a ray that are evenly spaced."""
        return self.surfaces

    def occupancy(self, samples: Samples, density: Float[Tensor, "*rays n"]) -> Float[Tensor, "*rays n"]:
        """Occupancies alpha = 1 - exp(-delta density) with the constant delta."""
        return occupancy_from_density(density, samples.hit, self.deltas)

    def background(self, t: Float[Tensor, "*rays n"]) -> Bool[Tensor, "*rays n"]:
        """Mask of the background plane, the last sample."""
        index = torch.arange(self.points_per_ray, device=t.device)
        return (index >= self.surfaces).expand_as(t)

    def background_t(self, rays: Rays) -> Float[Tensor, "*rays"]:
        """Distance along rays to the background plane."""
        return self.intersect_planes(rays, rays.origins.new_tensor([self.background_z])).t[..., 0]

    def hit_rates(self, rays: Rays) -> Float[Tensor, " surfaces"]:
        """Fraction of the rays that hit each surface."""
        hit = self.sample(rays).hit[..., : self.surfaces]
        return hit.flatten(0, -2).float().mean(0)

    def intersect_planes(self, rays: Rays, heights: Float[Tensor, " planes"]) -> Samples:
        """Intersections of rays with planes z = height at any positive distance."""
        t = (heights - rays.origins[..., 2:]) / rays.directions[..., 2:]
        ahead = (t > 0) & t.isfinite()  # false for rays along or away from the plane
        return Samples(torch.where(ahead, t, self.far), ahead)
