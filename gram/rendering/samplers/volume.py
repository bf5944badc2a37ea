"""Base class of volumetric samplers (NeRF, arXiv 2003.08934, section 4)."""

import torch
from torch import Tensor

from gram.rendering.samplers.base import OPAQUE, Sampler, Samples
from gram.shapes import Float


class VolumeSampler(Sampler):
    """Quadrature of the volume-rendering integral with n points.

    alpha_i = 1 - exp(-sigma_i (t_{i+1} - t_i)), in the order of t. With a background plane the last sample is
    opaque and stands for the background; on a white background its interval ends at far.

    Args:
        points: number n of points per ray.
        near, far, background_z: see `Sampler`; the plane is not sampled.
    """

    def __init__(self, *, points: int, near: float, far: float, background_z: float | None) -> None:
        super().__init__(near=near, far=far, background_z=background_z)
        self.points = points

    @property
    def points_per_ray(self) -> int:
        """Number of points, coarse and fine."""
        return self.points

    @property
    def typical_delta(self) -> float:
        """Mean distance between samples."""
        return (self.far - self.near) / self.points

    def occupancy(self, samples: Samples, density: Float[Tensor, "*rays n"]) -> Float[Tensor, "*rays n"]:
        """Occupancies over the distance to the next sample; gradients reach densities and positions."""
        # intervals in the order of t
        order = samples.t.detach().argsort(dim=-1, stable=True)
        t = samples.t.gather(-1, order)
        if self.white_background:
            last = (self.far - t[..., -1:]).clamp_min(0.0)
        else:
            last = torch.full_like(t[..., -1:], OPAQUE)
        delta = torch.cat([t.diff(dim=-1), last], -1)
        # occupancies, back in the order of the samples
        alpha = -torch.expm1(-delta * density.gather(-1, order))
        return torch.where(samples.hit, alpha.gather(-1, order.argsort(dim=-1)), 0.0)

    def at_fractions(self, fractions: Float[Tensor, "*rays n"]) -> Samples:
        """Samples at fractions in [0, 1] of the way between near and far, all of them hits."""
        t = self.near * (1.0 - fractions) + self.far * fractions
        return Samples(t, torch.ones_like(t, dtype=torch.bool))
