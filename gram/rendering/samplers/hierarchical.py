"""Coarse samples, and fine samples drawn from their weights (NeRF, arXiv 2003.08934, section 5.2).

The n points are n - floor(n / 2) coarse and floor(n / 2) fine ones; the field is evaluated once at each.
"""

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.rendering.compositing import composite
from gram.rendering.samplers.base import Samples
from gram.rendering.samplers.counter_rng import Noise, uniform
from gram.rendering.samplers.stratified import stratified_fractions
from gram.rendering.samplers.volume import VolumeSampler
from gram.shapes import Float

FLOOR = 1e-5
"""Constant added to every coarse weight, as published, so that every bin has some probability."""
FINE = 1
"""RNG stream of the fine samples; the coarse ones use stream 0."""


class HierarchicalSampler(VolumeSampler):
    """Stratified samples, and as many more by inverse transform sampling of their weights.

    The coarse weights w_i + 1e-5 define a density that is constant between the midpoints of neighbouring
    coarse samples; the first and the last weight lie outside all midpoints and are ignored. Fine samples are
    its quantiles at uniform random numbers (evenly spaced ones without noise). Positions carry no gradient.
    All samples are composited together.

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
                f"points = {points}: 5 are needed, as fine samples lie between the midpoints of 3 coarse ones"
            )
        super().__init__(points=points, near=near, far=far, background_z=background_z)
        self.fine = points // 2

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Choose the coarse points, one per bin."""
        return self.at_fractions(stratified_fractions(rays, self.points - self.fine, noise))

    @torch.no_grad()
    def refine(
        self, samples: Samples, density: Float[Tensor, "*rays n"], noise: Noise | None = None
    ) -> Samples:
        """Choose the fine points by the weights of the coarse ones."""
        t, rgb = samples.t, density.new_zeros(*density.shape, 3)
        weights = composite(t, rgb, self.occupancy(samples, density), far=self.far).weights
        # quantiles of the coarse weights, which stand for the bins between midpoints
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
    """Positions of quantiles of a piecewise-constant density proportional to `weights` in each bin.

    Args:
        edges: edges of the bins, ascending.
        weights: mass of each bin, positive, not normalised.
        quantiles: probabilities in [0, 1).
    """
    # normalised cumulative distribution at the edges
    mass = weights.cumsum(-1)
    cdf = torch.cat([torch.zeros_like(mass[..., :1]), mass / mass[..., -1:]], -1)
    # edges below and above each quantile
    above = torch.searchsorted(cdf.contiguous(), quantiles.contiguous(), right=True)
    above = above.clamp(1, weights.shape[-1])
    below = above - 1
    low, high = cdf.gather(-1, below), cdf.gather(-1, above)
    # linear interpolation within the bin
    start, end = edges.gather(-1, below), edges.gather(-1, above)
    return start + (end - start) * ((quantiles - low) / (high - low)).clamp(0.0, 1.0)
