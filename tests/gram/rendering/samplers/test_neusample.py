"""NeuSample's points are sorted, in range, even at the start, and learn."""

import math

import pytest
import torch
from sampled_rays import FAR, NEAR, some_rays

from gram.networks.sampling_network import RayNetwork
from gram.rendering.samplers import NeusampleSampler


def make_neusample(points: int = 6, frequencies: int = 3) -> NeusampleSampler:
    torch.manual_seed(0)
    network = RayNetwork(points=points, width=16, layers=4, frequencies=frequencies)
    return NeusampleSampler(network, points=points, box=0.24, near=NEAR, far=FAR)


def shaken(sampler: NeusampleSampler) -> NeusampleSampler:
    """As if it had learned something wild."""
    with torch.no_grad():
        sampler.network.output.weight.normal_(std=3.0, generator=torch.Generator().manual_seed(0))
    return sampler


@pytest.mark.parametrize("yaw", [math.pi / 2, 0.9])
def test_points_are_even_at_the_start(yaw: float) -> None:
    t = make_neusample(6).sample(some_rays(yaw=yaw)).t
    expected = NEAR + (FAR - NEAR) * (torch.arange(6) + 0.5) / 6
    torch.testing.assert_close(t, expected.expand_as(t), rtol=0, atol=1e-6)


def test_points_are_sorted_and_in_range_whatever_was_learned() -> None:
    samples = shaken(make_neusample(12)).sample(some_rays(size=16))
    assert (samples.t.diff(dim=-1) >= 0).all()
    assert samples.t.min() >= NEAR
    assert samples.t.max() <= FAR
    assert samples.hit.all()
    assert float(samples.t.detach().diff(dim=-1).std()) > 0.01  # no longer even


def test_different_rays_get_different_points_once_something_is_learned() -> None:
    t = shaken(make_neusample()).sample(some_rays()).t
    assert float(t.detach().std(dim=1).max()) > 1e-3
    elsewhere = shaken(make_neusample()).sample(some_rays(yaw=1.0)).t
    assert float((t - elsewhere).detach().abs().max()) > 1e-3


def test_every_parameter_gets_a_gradient_and_rays_get_none() -> None:
    sampler = shaken(make_neusample())
    rays = some_rays()
    rays = rays._replace(origins=rays.origins.clone().requires_grad_())
    samples = sampler.sample(rays)
    density = torch.rand(samples.t.shape, generator=torch.Generator().manual_seed(1))
    loss = (sampler.occupancy(samples, density) * torch.rand_like(density)).sum()
    gradients = torch.autograd.grad(loss, list(sampler.parameters()), retain_graph=True)
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in gradients)
    assert torch.autograd.grad(loss, rays.origins, allow_unused=True) == (None,)


def test_at_the_start_the_last_layer_learns() -> None:
    sampler = make_neusample()
    t = sampler.sample(some_rays()).t
    (gradient,) = torch.autograd.grad((t * torch.rand_like(t)).sum(), sampler.network.output.weight)
    assert float(gradient.abs().max()) > 0


def test_the_middle_layer_sees_the_ray_again() -> None:
    sizes = [linear.in_features for linear in RayNetwork(points=4, width=10, layers=8, frequencies=10).hidden]
    assert sizes == [126, 10, 10, 10, 136, 10, 10, 10]


def test_a_network_of_another_number_of_points_is_refused() -> None:
    network = RayNetwork(points=5, width=8, layers=2, frequencies=1)
    with pytest.raises(ValueError, match="points = 6, but the network predicts 5"):
        NeusampleSampler(network, points=6, box=0.24, near=NEAR, far=FAR)
