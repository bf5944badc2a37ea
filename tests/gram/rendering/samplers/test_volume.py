"""Occupancies of volumes act over the distance to the next sample, in whatever order samples come."""

import math

import pytest
import torch
from sampled_rays import FAR, NEAR

from gram.rendering.samplers import Samples, StratifiedSampler

T = torch.tensor([[[0.9, 0.95, 1.05, 1.1]]])
DENSITY = torch.tensor([[[2.0, 3.0, 0.5, 4.0]]])
ALL = torch.ones_like(T, dtype=torch.bool)


def make_volume(background_z: float | None) -> StratifiedSampler:
    return StratifiedSampler(points=4, near=NEAR, far=FAR, background_z=background_z)


@pytest.mark.parametrize(("background_z", "last"), [(-0.12, 1.0), (None, 1.0 - math.exp(-4.0 * 0.02))])
def test_the_last_sample_is_opaque_or_ends_at_far(background_z: float | None, last: float) -> None:
    alpha = make_volume(background_z).occupancy(Samples(T, ALL), DENSITY)
    expected = [1.0 - math.exp(-2.0 * 0.05), 1.0 - math.exp(-3.0 * 0.1), 1.0 - math.exp(-0.5 * 0.05), last]
    assert alpha.flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_the_order_of_samples_does_not_matter() -> None:
    order = torch.tensor([2, 0, 3, 1])
    sampler = make_volume(None)
    expected = sampler.occupancy(Samples(T, ALL), DENSITY)[..., order]
    assert torch.equal(sampler.occupancy(Samples(T[..., order], ALL), DENSITY[..., order]), expected)


def test_samples_beyond_far_have_no_length_left() -> None:
    alpha = make_volume(None).occupancy(Samples(T + 0.05, ALL), DENSITY)
    assert float(alpha[..., -1]) == 0.0


def test_gradients_reach_densities_and_positions() -> None:
    t, density = T.double().requires_grad_(), DENSITY.double().requires_grad_()
    sampler = make_volume(None)
    assert torch.autograd.gradcheck(
        lambda t, d: sampler.occupancy(Samples(t, ALL), d), (t, density), eps=1e-6, atol=1e-6
    )
