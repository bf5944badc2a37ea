"""Samples on surfaces and plane, and which levels no ray can reach."""

import math

import pytest
import torch
from sampled_rays import some_rays

from gram.networks.manifold import SCALE, ManifoldPredictor
from gram.rendering.isosurfaces import Mode
from gram.rendering.samplers import SurfaceSampler


def make_sampler(**changes) -> SurfaceSampler:
    manifold = ManifoldPredictor(width=256, hidden_layers=1, init="sphere")
    settings = {
        "levels": 3, "first_level": 20.0, "last_level": 12.0,
        "near": 0.88, "far": 1.12, "num_samples": 48, "delta": 0.04,
    }  # fmt: skip
    return SurfaceSampler(manifold, **{**settings, **changes})


@pytest.mark.parametrize("mode", ["linear", "refined"])
def test_surfaces_of_the_initial_field_are_its_spheres(mode: Mode) -> None:
    sampler, rays = make_sampler(mode=mode), some_rays()
    samples = sampler.sample(rays)
    points = rays.at(samples.t.detach())[..., :3, :]
    radii = (points * SCALE - sampler.manifold.centre).norm(dim=-1)
    hit = samples.hit[..., :3]
    assert hit[..., 0].all()
    expected = (torch.tensor([20.0, 16.0, 12.0]) / 10.0).expand_as(radii)
    torch.testing.assert_close(radii[hit], expected[hit], rtol=5e-3, atol=0)
    assert (samples.t[..., 1:3] >= samples.t[..., 0:2]).all()  # outer surfaces come first


def test_the_last_sample_lies_on_the_plane() -> None:
    rays = some_rays(yaw=1.2)
    samples = make_sampler(background_z=-0.07).sample(rays)
    assert samples.hit[..., -1].all()
    points = rays.at(samples.t)[..., -1, :]
    torch.testing.assert_close(points[..., 2], torch.full((1, 36), -0.07), rtol=0, atol=1e-6)


@pytest.mark.parametrize("yaw", [0.0, math.pi])
def test_a_plane_seen_edge_on_or_behind_the_camera_is_no_hit(yaw: float) -> None:
    rays = some_rays(yaw=yaw, size=5)
    rays = rays._replace(directions=torch.where(rays.directions.abs() < 1e-6, 0.0, rays.directions))
    samples = make_sampler().sample(rays)
    assert samples.t.isfinite().all()
    assert (samples.t > 0).all()
    assert torch.equal(samples.hit[..., -1], rays.directions[..., 2] < 0)


def test_without_plane_there_is_one_sample_a_level_and_a_white_background() -> None:
    with_plane, without = make_sampler(), make_sampler(background_z=None)
    assert (with_plane.points_per_ray, without.points_per_ray) == (4, 3)
    assert (with_plane.white_background, without.white_background) == (False, True)
    assert without.sample(some_rays()).t.shape == (1, 36, 3)
    assert torch.equal(with_plane.sample(some_rays()).t[..., :3], without.sample(some_rays()).t)


def test_surfaces_share_one_delta_and_the_plane_is_opaque() -> None:
    sampler = make_sampler(delta=0.02)
    samples = sampler.sample(some_rays())
    alpha = sampler.occupancy(samples, torch.full_like(samples.t, 3.0))
    expected = torch.where(samples.hit, -math.expm1(-0.06), 0.0)
    expected[..., -1] = 1.0
    torch.testing.assert_close(alpha, expected)


def test_gradients_reach_the_manifold_unless_it_is_frozen() -> None:
    sampler = make_sampler()
    t = sampler.sample(some_rays()).t
    gradients = torch.autograd.grad(t.sum(), list(sampler.manifold.parameters()), allow_unused=True)
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert any(g.abs().max() > 0 for g in gradients)
    sampler.manifold.requires_grad_(False)
    frozen = sampler.sample(some_rays()).t
    assert not frozen.requires_grad
    torch.testing.assert_close(frozen, t.detach(), rtol=0, atol=1e-6)


def test_levels_are_evenly_spaced_from_first_to_last() -> None:
    assert make_sampler(levels=5, first_level=23.0, last_level=8.0).values.tolist() == [
        23,
        19.25,
        15.5,
        11.75,
        8,
    ]
    assert make_sampler(levels=1, first_level=9.0, last_level=9.0).values.tolist() == [9.0]


def test_levels_that_no_ray_can_reach_have_a_hit_rate_of_zero() -> None:
    # s is about 10 |x_hat|: level 200 lies far outside near..far, and level -10 nowhere at all.
    sampler = make_sampler(levels=4, first_level=200.0, last_level=-10.0)
    rates = sampler.hit_rates(some_rays())
    assert sampler.values.tolist() == [200.0, 130.0, 60.0, -10.0]
    assert torch.equal(rates, torch.zeros(4))


def test_hit_rates_are_the_shares_of_rays_that_meet_each_level() -> None:
    sampler = make_sampler(levels=3, first_level=20.0, last_level=-4.0)
    rays = some_rays(size=16)
    rates = sampler.hit_rates(rays)
    hit = sampler.sample(rays).hit
    assert rates.tolist() == pytest.approx([float(hit[..., i].double().mean()) for i in range(3)])
    assert float(rates[0]) == 1.0
    assert 0.0 < float(rates[1]) < 1.0
    assert float(rates[2]) == 0.0
    assert not rates.requires_grad


@pytest.mark.parametrize("levels", [0, -2])
def test_no_level_at_all_is_refused(levels: int) -> None:
    with pytest.raises(ValueError, match=f"levels = {levels}: at least one isosurface is needed"):
        make_sampler(levels=levels)


@pytest.mark.parametrize(("first", "last"), [(8.0, 23.0), (8.0, 8.0)])
def test_levels_that_do_not_descend_are_refused(first: float, last: float) -> None:
    with pytest.raises(ValueError, match=f"levels go from {first} to {last}: they must descend"):
        make_sampler(first_level=first, last_level=last)


def test_inside_is_one_up_to_the_outermost_surface_and_zero_from_a_spacing_outside_it() -> None:
    manifold = ManifoldPredictor(width=64, hidden_layers=1, init="sphere", centre=(0.0, 0.0, 0.0))
    sampler = SurfaceSampler(
        manifold, levels=3, first_level=10.0, last_level=6.0, near=0.5, far=1.5, num_samples=8, delta=0.1
    )
    points = torch.tensor([[0.0, 0.0, r * 0.012] for r in (2.0, 5.0, 9.9, 10.5, 11.0, 12.1, 30.0)])
    values = manifold(points).detach()  # about 10 |x| / 0.12, so 2, 5, 9.9, ...
    expected = (1.0 - (values - 10.0) / 2.0).clamp(0.0, 1.0)
    torch.testing.assert_close(sampler.inside(points), expected)
    assert sampler.inside(points)[:2].eq(1.0).all()
    assert sampler.inside(points)[-1].eq(0.0)
