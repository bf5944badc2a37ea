"""Samples on the isosurfaces of a manifold predictor, and on a background plane (GRAM, section 3.2)."""

import torch
from torch import Tensor, nn

from gram.cameras import Rays
from gram.compositing import occupancy_from_density
from gram.isosurfaces import Mode, intersect
from gram.manifold import ManifoldPredictor
from gram.samplers.base import Samples
from gram.shapes import Float

OPAQUE = 1e10
"""The constant delta of the background plane."""


class SurfaceSampler(nn.Module):
    """One sample per isosurface, the first crossing of its level, plus one on the background plane.

    Args:
        manifold: the scalar field M.
        levels: number of isosurfaces.
        first_level: value of the outermost surface, the first that a camera meets.
        last_level: value of the innermost surface.
        near: start of the search for intersections, distance along the ray.
        far: end of that search.
        num_samples: points per ray of that search.
        delta: constant that turns density into occupancy, alpha = 1 - exp(-delta * density).
        mode: how intersections are found, see `gram.isosurfaces`.
        background_z: height of the opaque background plane z = const; None for a white background.

    Raises:
        ValueError: no level at all, or levels that do not descend.
    """

    values: Tensor
    deltas: Tensor

    def __init__(
        self,
        manifold: ManifoldPredictor,
        *,
        levels: int,
        first_level: float,
        last_level: float,
        near: float,
        far: float,
        num_samples: int,
        delta: float,
        mode: Mode = "linear",
        background_z: float | None = -0.12,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels = {levels}: at least one isosurface is needed")
        if levels > 1 and first_level <= last_level:
            raise ValueError(
                f"levels go from {first_level} to {last_level}: they must descend, as M does along a ray"
            )
        self.manifold = manifold
        self.near, self.far = near, far
        self.num_samples = num_samples
        self.mode: Mode = mode
        self.background_z = background_z
        self.register_buffer("values", torch.linspace(first_level, last_level, levels), persistent=False)
        deltas = [delta] * levels + ([] if background_z is None else [OPAQUE])
        self.register_buffer("deltas", torch.tensor(deltas), persistent=False)

    @property
    def white_background(self) -> bool:
        """Whether light that passes every surface is white."""
        return self.background_z is None

    @property
    def points_per_ray(self) -> int:
        """Surfaces, the background plane included."""
        return len(self.deltas)

    def sample(self, rays: Rays) -> Samples:
        """Intersections in the order of the levels, then the plane; gradients reach M.

        The plane is hit by every ray that it lies ahead of.
        """
        learned = any(p.requires_grad for p in self.manifold.parameters())
        with torch.set_grad_enabled(learned and torch.is_grad_enabled()):
            t, hit = intersect(
                self.manifold, rays, self.values,
                near=self.near, far=self.far, num_samples=self.num_samples, mode=self.mode,
            )  # fmt: skip
        if self.background_z is None:
            return Samples(t, hit)
        on_plane = (self.background_z - rays.origins[..., 2:]) / rays.directions[..., 2:]
        ahead = (on_plane > 0) & on_plane.isfinite()  # not so where a ray looks along the plane or away
        on_plane = torch.where(ahead, on_plane, self.far)
        return Samples(torch.cat([t, on_plane], -1), torch.cat([hit, ahead], -1))

    def occupancy(self, samples: Samples, density: Float[Tensor, "*rays n"]) -> Float[Tensor, "*rays n"]:
        """alpha = 1 - exp(-delta density) with a constant delta: surfaces have no thickness."""
        return occupancy_from_density(density, samples.hit, self.deltas)

    @torch.no_grad()
    def inside(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """1 inside the outermost surface, falling linearly to 0 where the next one outside would be."""
        levels = self.values
        spacing = (levels[0] - levels[-1]).abs() / max(len(levels) - 1, 1)
        spacing = torch.where(spacing > 0, spacing, 1.0)
        return (1.0 - (self.manifold(points) - levels[0]) / spacing).clamp(0.0, 1.0)

    @torch.no_grad()
    def field_range(self, rays: Rays) -> tuple[float, float]:
        """Smallest and largest value of M on the rays, between near and far."""
        t = torch.linspace(self.near, self.far, self.num_samples, device=rays.origins.device)
        values = self.manifold(rays.at(t.expand(*rays.origins.shape[:-1], -1)))
        return float(values.min()), float(values.max())

    @torch.no_grad()
    def hit_rates(self, rays: Rays) -> Float[Tensor, " levels"]:
        """Share of the rays that meet each isosurface."""
        hit = self.sample(rays).hit[..., : len(self.values)]
        return hit.flatten(0, -2).float().mean(0)
