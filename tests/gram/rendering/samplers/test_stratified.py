"""Stratified samples: one a bin, converging to the integral of a known density at the known rate."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sampled_rays import FAR, NEAR, some_noise, some_rays
from torch import Tensor

from gram.rendering.compositing import composite
from gram.rendering.samplers import Samples, StratifiedSampler

OPTICAL_DEPTH, CENTRE, WIDTH = 1.5, 1.0, 0.03
"""Of a bell-shaped density along the ray that vanishes at both of its ends."""


def make_stratified(points: int, **changes) -> StratifiedSampler:
    return StratifiedSampler(points=points, **{"near": NEAR, "far": FAR, "background_z": None, **changes})


def density(t: Tensor) -> Tensor:
    bell = torch.exp(-0.5 * ((t - CENTRE) / WIDTH) ** 2)
    return bell * (OPTICAL_DEPTH / (WIDTH * math.sqrt(2.0 * math.pi)))


def transmittance(t: Tensor) -> Tensor:
    """exp(-integral of the density up to t), in closed form."""
    return torch.exp(-OPTICAL_DEPTH * 0.5 * (1.0 + torch.erf((t - CENTRE) / (WIDTH * math.sqrt(2.0)))))


def test_there_is_one_sample_in_every_bin_and_anywhere_in_it() -> None:
    rays = some_rays(size=40)
    samples = make_stratified(12).sample(rays, some_noise())
    places = (samples.t - NEAR) / (FAR - NEAR) * 12
    assert torch.equal(places.floor().clamp(0, 11), torch.arange(12.0).expand_as(places))
    within = (places - places.floor()).flatten()
    assert float(within.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(within.var()) == pytest.approx(1 / 12, abs=0.002)


def test_without_noise_samples_are_the_middles_of_the_bins() -> None:
    t = make_stratified(4).sample(some_rays()).t
    torch.testing.assert_close(t, torch.tensor([0.91, 0.97, 1.03, 1.09]).expand_as(t), rtol=0, atol=1e-6)


def rendered(points: int, color: Callable[[Tensor], Tensor]) -> Tensor:
    """Estimates of the integral of T sigma c along 2,500 rays that all see the same."""
    sampler, rays = make_stratified(points), some_rays(size=50, dtype=torch.float64)
    samples = sampler.sample(rays, some_noise())
    samples = Samples(samples.t.double(), samples.hit)
    alpha = sampler.occupancy(samples, density(samples.t))
    rgb = color(samples.t)[..., None].expand(*samples.t.shape, 3)
    return composite(samples.t, rgb, alpha, far=FAR).rgb[..., 0]


@pytest.mark.parametrize(
    ("color", "integral"),
    [
        (torch.ones_like, 1.0 - math.exp(-OPTICAL_DEPTH)),
        (transmittance, (1.0 - math.exp(-2.0 * OPTICAL_DEPTH)) / 2.0),
    ],
    ids=["opacity", "colour"],
)
def test_estimates_converge_to_the_integral_at_the_rate_of_stratified_sampling(
    color: Callable[[Tensor], Tensor], integral: float
) -> None:
    """Noise falls as n^-3/2 (plain Monte Carlo: n^-1/2), and the error at least as n^-1."""
    counts = np.array([24, 48, 96, 192])
    estimates = [rendered(int(n), color) for n in counts]
    noise = [float(e.std()) for e in estimates]
    slope = np.polyfit(np.log(counts), np.log(noise), 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.15)
    error = [float((e - integral).square().mean().sqrt()) for e in estimates]
    assert np.polyfit(np.log(counts), np.log(error), 1)[0] < -0.9
    assert error[-1] < 5e-3


def test_no_point_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="points = 0: at least one is needed"):
        make_stratified(0)
