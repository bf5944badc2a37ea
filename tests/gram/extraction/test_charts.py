"""Maps of isosurfaces have the geometry of the surfaces, whichever way cameras look."""

import math
from typing import Any

import pytest
import torch

from gram.extraction.charts import Charts, chart
from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.geometry.poses import GaussianPoses, SphericalPoses
from gram.model.folder import build_sampler
from gram.rendering.samplers import SurfaceSampler

FOV = math.radians(12)


def make_sampler(settings: dict[str, Any], **changes: Any) -> SurfaceSampler:
    settings["manifold"] |= {"width": 128, "hidden_layers": 1}
    settings["sampler"] |= {"num_samples": 64, "mode": "refined", **changes}
    sampler = build_sampler(settings)
    assert isinstance(sampler, SurfaceSampler)
    return sampler


def dent(sampler: SurfaceSampler) -> None:
    """Make the surfaces something else than spheres."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        weight = sampler.manifold.output.weight
        weight.mul_(1.0 + 0.5 * torch.rand(weight.shape, generator=rng))


def rays_of(prior: Any, *, fov: float = FOV, size: int = 17, count: int = 24) -> Rays:
    return pixel_rays(
        look_at_origin(prior.sample(count, generator=torch.Generator().manual_seed(0))), size=size, fov=fov
    )


def charts_of(sampler: SurfaceSampler, rays: Rays) -> Charts:
    return chart(sampler, rays, resolution=96)


def test_spheres_have_constant_radii(settings: dict[str, Any]) -> None:
    charts = charts_of(make_sampler(settings), rays_of(GaussianPoses()))
    expected = torch.tensor([23.0, 18.0, 13.0, 8.0]) * 0.012
    torch.testing.assert_close(charts.radii.mean((1, 2)), expected, rtol=0.01, atol=0)
    assert float((charts.radii - charts.radii.mean((1, 2), keepdim=True)).abs().max()) < 2e-3
    torch.testing.assert_close(charts.centre, torch.tensor([0.0, 0.0, -0.18]))


def test_points_of_the_maps_lie_on_the_surfaces(settings: dict[str, Any]) -> None:
    sampler = make_sampler(settings)
    dent(sampler)
    points = charts_of(sampler, rays_of(GaussianPoses())).points()
    expected = sampler.values[:, None, None].expand(points.shape[:-1])
    torch.testing.assert_close(sampler.manifold(points).detach(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("dented", [False, True])
@pytest.mark.parametrize("view", [0, 5, 11])
def test_rays_meet_the_maps_where_they_meet_the_surfaces(
    settings: dict[str, Any], dented: bool, view: int
) -> None:
    sampler, rays = make_sampler(settings, near=0.5, far=1.5), rays_of(GaussianPoses())
    if dented:
        dent(sampler)
    charts = charts_of(sampler, rays)
    t, at, chord2 = charts.intersect(Rays(rays.origins[view], rays.directions[view]))
    expected, hit = (part[view, :, :4].T for part in sampler.sample(rays))
    sure = chord2.abs() > 1e-4  # not at the very rim
    assert torch.equal((chord2 > 0)[sure], hit[sure])
    inside = hit & (chord2 > 2e-3) & (at.abs() < 1.0).all(-1)  # grazing rays slide along the surface
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(t[inside], expected.detach()[inside], rtol=0, atol=4e-4)


def test_maps_reach_as_far_as_cameras_see(settings: dict[str, Any]) -> None:
    sampler = make_sampler(settings, near=0.5, far=1.5)
    near_front = charts_of(sampler, rays_of(GaussianPoses(yaw_std=0.1, pitch_std=0.05)))
    around = charts_of(sampler, rays_of(GaussianPoses(yaw_std=0.5)))
    assert (around.extents[:2] > near_front.extents[:2]).all()  # inner ones are seen to their rims by all
    _, at, chord2 = around.intersect(rays_of(GaussianPoses(yaw_std=0.5)).rows(3))
    assert float(at[chord2 > 0].abs().max()) <= 1.0


def test_cameras_all_around_are_charted_from_above(settings: dict[str, Any]) -> None:
    settings["manifold"]["centre"] = [0.0, 0.0, 0.0]
    sampler = make_sampler(settings, near=0.5, far=1.5, background_z=None, first_level=15.0, last_level=5.0)
    charts = charts_of(sampler, rays_of(SphericalPoses(), fov=math.radians(30), count=200))
    assert float(charts.frame[1, 2]) > 0.9  # the axis points up
    torch.testing.assert_close(charts.frame.T @ charts.frame, torch.eye(3), rtol=0, atol=1e-6)
    assert float(torch.linalg.det(charts.frame)) == pytest.approx(1.0, abs=1e-5)


def test_surfaces_that_cannot_be_mapped_are_refused(settings: dict[str, Any]) -> None:
    sampler = make_sampler(settings)
    rays = rays_of(GaussianPoses())
    with torch.no_grad():
        sampler.manifold.output.weight[:, :64] *= -1.0  # open on one side
    with pytest.raises(ValueError, match=r"isosurface \d \(level .*\) is not hit in .*% of the directions"):
        chart(sampler, rays, resolution=16)
