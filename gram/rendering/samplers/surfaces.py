"""Samples on the isosurfaces of a manifold predictor, and on a background plane (GRAM, section 3.2).

S_i = {x | M(x) = l_i} with evenly spaced, fixed levels l_i; a ray hits each at its first decreasing crossing.
Learned, they are GRAM's manifolds. With M frozen at initialisation, they are (nearly) concentric spheres.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.networks.manifold import ManifoldPredictor
from gram.rendering.isosurfaces import Mode, intersect
from gram.rendering.samplers.base import Samples
from gram.rendering.samplers.counter_rng import Noise
from gram.rendering.samplers.layered import LayeredSampler
from gram.shapes import Float, Int


class SurfaceSampler(LayeredSampler):
    """One sample per isosurface, the first crossing of its level, plus one on the background plane.

    Args:
        manifold: scalar field M.
        levels: number of isosurfaces.
        first_level: value of the outermost surface, the closest to a camera.
        last_level: value of the innermost surface.
        near: start of the search for intersections, distance along the ray.
        far: end of that search.
        num_samples: points per ray of that search.
        delta: constant length in alpha = 1 - exp(-delta density).
        mode: search for intersections, see `gram.rendering.isosurfaces`.
        background_z: z of the opaque background plane; None for a white background.

    Raises:
        ValueError: levels < 1, or levels that do not descend.
    """

    kind = "manifold"
    options = ("delta", "levels", "first_level", "last_level", "num_samples", "mode")
    optional = ("mode",)
    network_settings = "manifold"
    learns = True
    has_isosurfaces = True

    values: Tensor

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
        if levels < 1:
            raise ValueError(f"levels = {levels}: at least one isosurface is needed")
        if levels > 1 and first_level <= last_level:
            raise ValueError(
                f"levels go from {first_level} to {last_level}: they must descend, as M does along a ray"
            )
        super().__init__(surfaces=levels, delta=delta, near=near, far=far, background_z=background_z)
        self.manifold = manifold
        self.num_samples = num_samples
        self.mode: Mode = mode
        self.learn(True)
        self.register_buffer("values", torch.linspace(first_level, last_level, levels), persistent=False)

    @classmethod
    def build(cls, settings: Mapping[str, Any]) -> "SurfaceSampler":
        """Build a sampler whose field M has random weights."""
        centre = tuple(float(x) for x in settings["manifold"]["centre"])
        manifold = ManifoldPredictor(**{**settings["manifold"], "centre": centre})
        return cls(manifold, **cls.arguments(settings))

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Intersections in the order of the levels, then the plane; gradients reach M."""
        learned = any(p.requires_grad for p in self.manifold.parameters())
        with torch.set_grad_enabled(learned and torch.is_grad_enabled()):
            t, hit = intersect(
                self.manifold, rays, self.values,
                near=self.near, far=self.far, num_samples=self.num_samples, mode=self.mode,
                backend=self.backend,
            )  # fmt: skip
        if self.background_z is None:
            return Samples(t, hit)
        plane = self.intersect_planes(rays, self.values.new_tensor([self.background_z]))
        return Samples(torch.cat([t, plane.t], -1), torch.cat([hit, plane.hit], -1))

    @torch.no_grad()
    def inside(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """Weight of points: 1 inside the outermost surface, falling linearly to 0 one level outside it."""
        levels = self.values
        spacing = (levels[0] - levels[-1]).abs() / max(len(levels) - 1, 1)
        spacing = torch.where(spacing > 0, spacing, 1.0)
        return (1.0 - (self.manifold(points) - levels[0]) / spacing).clamp(0.0, 1.0)

    @torch.no_grad()
    def layers(self, points: Float[Tensor, "*batch 3"]) -> Int[Tensor, "*batch"]:
        """Number of isosurfaces around points."""
        return (self.manifold(points)[..., None] <= self.values).sum(-1)

    @torch.no_grad()
    def field_range(self, rays: Rays) -> tuple[float, float]:
        """Smallest and largest value of M on the rays between near and far."""
        t = torch.linspace(self.near, self.far, self.num_samples, device=rays.origins.device)
        values = self.manifold(rays.at(t.expand(*rays.origins.shape[:-1], -1)))
        return float(values.min()), float(values.max())


class SphereSampler(SurfaceSampler):
    """Isosurfaces of M frozen at initialisation."""

    kind = "spheres"
    learns = False
