"""Fine samples follow the density that the coarse ones found."""

import numpy as np
import pytest
import torch
from sampled_rays import FAR, NEAR, some_noise, some_rays
from scipy.stats import kstest

from gram.rendering.compositing import composite
from gram.rendering.samplers import HierarchicalSampler
from gram.rendering.samplers.hierarchical import FLOOR, inverse_transform


def make_hierarchical(points: int = 12) -> HierarchicalSampler:
    return HierarchicalSampler(points=points, near=NEAR, far=FAR)


def test_quantiles_of_a_density_with_one_bin_are_uniform_in_it() -> None:
    edges, weights = torch.tensor([[1.0, 3.0]]), torch.tensor([[7.0]])
    found = inverse_transform(edges, weights, torch.tensor([[0.0, 0.25, 0.5, 0.75]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 1.5, 2.0, 2.5]]))


def test_draws_follow_the_piecewise_constant_density() -> None:
    """Kolmogorov and Smirnov's test against the distribution function, written out."""
    edges = torch.tensor([0.0, 1.0, 1.5, 4.0, 4.2, 6.0])
    mass = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
    draws = torch.rand(1, 20_000, generator=torch.Generator().manual_seed(0))
    found = inverse_transform(edges[None], mass[None] * 3.0, draws).flatten().numpy()
    cdf = torch.cat([torch.zeros(1), mass.cumsum(0)])

    assert kstest(found, lambda x: np.interp(x, edges, cdf)).pvalue > 0.01
    uniform = kstest(found, "uniform", args=(0.0, 6.0))
    assert uniform.pvalue < 1e-6  # the test can tell


def test_fine_samples_follow_the_coarse_weights() -> None:
    sampler, rays = make_hierarchical(), some_rays(size=60)
    samples = sampler.sample(rays)  # the same coarse points on every ray
    coarse = samples.t[0, 0]
    density = torch.tensor([0.0, 30.0, 5.0, 60.0, 1.0, 0.0]).expand_as(samples.t)
    fine = sampler.refine(samples, density, some_noise()).t.flatten().numpy()
    alpha = sampler.occupancy(samples, density)
    weights = composite(samples.t, density.new_zeros(*density.shape, 3), alpha, far=FAR).weights[0, 0]
    mass = weights[1:-1] + FLOOR
    edges = (coarse[1:] + coarse[:-1]) / 2.0
    cdf = torch.cat([torch.zeros(1), (mass / mass.sum()).cumsum(0)])
    assert len(fine) == 3600 * 6
    assert kstest(fine, lambda x: np.interp(x, edges, cdf)).pvalue > 0.01


def test_bins_that_nothing_was_seen_in_are_not_impossible() -> None:
    sampler, rays = make_hierarchical(40), some_rays()
    samples = sampler.sample(rays)
    fine = sampler.refine(samples, torch.zeros_like(samples.t), some_noise()).t
    assert fine.isfinite().all()
    assert float(fine.max() - fine.min()) > 0.8 * (FAR - NEAR)


@pytest.mark.parametrize(("points", "coarse"), [(5, 3), (6, 3), (12, 6), (13, 7), (24, 12)])
def test_points_count_coarse_and_fine(points: int, coarse: int) -> None:
    sampler, rays = make_hierarchical(points), some_rays()
    samples = sampler.sample(rays, some_noise())
    fine = sampler.refine(samples, torch.ones_like(samples.t), some_noise())
    assert samples.t.shape[-1] == coarse
    assert samples.t.shape[-1] + fine.t.shape[-1] == points == sampler.points_per_ray


def test_no_gradient_passes_through_positions() -> None:
    sampler, rays = make_hierarchical(), some_rays()
    samples = sampler.sample(rays, some_noise())
    density = torch.ones_like(samples.t).requires_grad_()
    assert not sampler.refine(samples, density, some_noise()).t.requires_grad


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="points = 4: 5 are needed"):
        make_hierarchical(4)
