"""Stratified Monte Carlo samples (NeRF, arXiv 2003.08934, equation 2)."""

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.rendering.samplers.base import Samples
from gram.rendering.samplers.counter_rng import Noise, uniform
from gram.rendering.samplers.volume import VolumeSampler
from gram.shapes import Float


class StratifiedSampler(VolumeSampler):
    """One uniform sample in each of n equal bins of [near, far]: t_i = near + (i - 1 + u_i) / n (far - near).

    Without noise u_i = 1/2, the middle of the bin.

    Args:
        points: number n of bins.
        near, far, background_z: see `Sampler`.

    Raises:
        ValueError: points < 1.
    """

    kind = "stratified"
    stochastic = True

    def __init__(self, *, points: int, near: float, far: float, background_z: float | None = -0.12) -> None:
        if points < self.fewest_points:
            raise ValueError(f"points = {points}: at least one is needed")
        super().__init__(points=points, near=near, far=far, background_z=background_z)

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Choose one point per bin, without gradient."""
        return self.at_fractions(stratified_fractions(rays, self.points, noise))


def stratified_fractions(rays: Rays, count: int, noise: Noise | None) -> Float[Tensor, "batch rays count"]:
    """One number in each of `count` equal bins of [0, 1]: uniform with noise, the middle without."""
    batch, number = rays.origins.shape[:2]
    bins = torch.arange(count, device=rays.origins.device, dtype=rays.origins.dtype)
    if noise is None:
        return ((bins + 0.5) / count).expand(batch, number, count)
    return (bins + uniform(noise, number, count).to(bins.dtype)) / count
