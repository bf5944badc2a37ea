"""Coarse samples, then fine ones where the coarse saw something (NeRF, arXiv 2003.08934, section 5.2).

Of n points, n - floor(n / 2) are coarse and floor(n / 2) fine: n counts both, and the field is evaluated once
at each.
"""

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.rendering.compositing import composite
from gram.rendering.samplers.base import Samples
from gram.rendering.samplers.counter_rng import Noise, uniform
from gram.rendering.samplers.stratified import in_bins
from gram.rendering.samplers.volume import VolumeSampler
from gram.shapes import Float

FLOOR = 1e-5
"""Added to every weight, as published: no bin is impossible."""
FINE = 1
"""Stream of the fine samples' noise; that of the coarse is 0."""


class HierarchicalSampler(VolumeSampler):
    """Stratified samples, and as many more by the inverse transform of their weights.

    The coarse weights w_i + 1e-5 make a density that is constant between the middles of neighbouring coarse
    samples; the weights of the first and the last, which lie outside all middles, do not count. Fine samples
    are its quantiles at uniform random numbers (evenly spaced ones without noise). No gradient passes through
    positions. All samples together are composited.

    Args:
        points: number n of points, coarse and fine together.
        near, far, background_z: see `Sampler`.

    Raises:
        ValueError: fewer than 5 points.
    """

    kind = "hierarchical"
    fewest_points = 5
    stochastic = True

    def __init__(self, *, points: int, near: float, far: float, background_z: float | None = -0.12) -> None:
        if points < self.fewest_points:
            raise ValueError(
                f"points = {points}: 5 are needed, as fine samples lie between the middles of 3 coarse ones"
            )
        super().__init__(points=points, near=near, far=far, background_z=background_z)
        self.fine = points // 2

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """The coarse points, one a bin."""
        return self.evenly(in_bins(rays, self.points - self.fine, noise))

    @torch.no_grad()
    def refine(
        self, samples: Samples, density: Float[Tensor, "*rays n"], noise: Noise | None = None
    ) -> Samples:
        """The fine points."""
        t, rgb = samples.t, density.new_zeros(*density.shape, 3)
        weights = composite(t, rgb, self.occupancy(samples, density), far=self.far).weights
        middles = (t[..., 1:] + t[..., :-1]) / 2.0
        batch, number = t.shape[:2]
        if noise is None:
            even = (torch.arange(self.fine, device=t.device, dtype=t.dtype) + 0.5) / self.fine
            quantiles = even.expand(batch, number, self.fine)
        else:
            quantiles = uniform(noise, number, self.fine, stream=FINE).to(t.dtype)
        fine = inverse_transform(middles, weights[..., 1:-1] + FLOOR, quantiles)
        return Samples(fine, torch.ones_like(fine, dtype=torch.bool))


def inverse_transform(
    edges: Float[Tensor, "*rays bins_and_one"],
    weights: Float[Tensor, "*rays bins"],
    quantiles: Float[Tensor, "*rays n"],
) -> Float[Tensor, "*rays n"]:
    """Quantiles of the piecewise-constant density that is proportional to `weights` in each bin.

    Args:
        edges: of the bins, ascending.
        weights: mass of each bin, positive, in any unit.
        quantiles: in [0, 1).
    """
    mass = weights.cumsum(-1)
    cdf = torch.cat([torch.zeros_like(mass[..., :1]), mass / mass[..., -1:]], -1)
    above = torch.searchsorted(cdf.contiguous(), quantiles.contiguous(), right=True)
    above = above.clamp(1, weights.shape[-1])
    below = above - 1
    low, high = cdf.gather(-1, below), cdf.gather(-1, above)
    start, end = edges.gather(-1, below), edges.gather(-1, above)
    return start + (end - start) * ((quantiles - low) / (high - low)).clamp(0.0, 1.0)
