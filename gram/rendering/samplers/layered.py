"""Samples on surfaces: each is given, or a miss, and has no thickness (GRAM, section 3.2)."""

from typing import ClassVar

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.rendering.compositing import occupancy_from_density
from gram.rendering.samplers.base import OPAQUE, Sampler, Samples
from gram.shapes import Bool, Float


class LayeredSampler(Sampler):
    """Surfaces one behind the other, and an opaque plane behind them unless the background is white.

    alpha_i = 1 - exp(-delta sigma_i) with a constant delta, whatever the distance between samples. Samples
    are in the order of the surfaces, the plane last.

    Args:
        surfaces: number of them, without the plane.
        delta: constant that turns density into occupancy.
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
        """Surfaces, the background plane included."""
        return len(self.deltas)

    @property
    def typical_delta(self) -> float:
        """The constant delta of a surface."""
        return float(self.deltas[0])

    @property
    def layer_spacing(self) -> float:
        """Mean distance between surfaces, if they fill the space."""
        return (self.far - self.near) / self.surfaces

    @property
    def evenly_spaced(self) -> int:
        """Number of the first samples of a ray that follow each other in even steps."""
        return self.surfaces

    def occupancy(self, samples: Samples, density: Float[Tensor, "*rays n"]) -> Float[Tensor, "*rays n"]:
        """alpha = 1 - exp(-delta density) with a constant delta: surfaces have no thickness."""
        return occupancy_from_density(density, samples.hit, self.deltas)

    def background(self, t: Float[Tensor, "*rays n"]) -> Bool[Tensor, "*rays n"]:
        """The plane, which is the last sample."""
        index = torch.arange(self.points_per_ray, device=t.device)
        return (index >= self.surfaces).expand_as(t)

    def background_t(self, rays: Rays) -> Float[Tensor, "*rays"]:
        """Of the plane."""
        return self.meet_planes(rays, rays.origins.new_tensor([self.background_z])).t[..., 0]

    def hit_rates(self, rays: Rays) -> Float[Tensor, " surfaces"]:
        """Share of the rays that meet each surface."""
        hit = self.sample(rays).hit[..., : self.surfaces]
        return hit.flatten(0, -2).float().mean(0)

    def meet_planes(self, rays: Rays, heights: Float[Tensor, " planes"]) -> Samples:
        """Where rays meet planes z = height: every plane that lies ahead, near or far."""
        t = (heights - rays.origins[..., 2:]) / rays.directions[..., 2:]
        ahead = (t > 0) & t.isfinite()  # not so where a ray looks along the plane or away
        return Samples(torch.where(ahead, t, self.far), ahead)
