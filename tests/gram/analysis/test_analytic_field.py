"""The field in closed form: its integrals against quadrature, and samplers against its integrals."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gram.analysis.analytic_field import SEMI_AXES, WALL_Z, AnalyticField, shells, wall
from gram.analysis.sampling_noise import SceneView, draw
from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.rendering.samplers import StratifiedSampler

POSES = torch.tensor([[1.5, 1.4], [1.65, 2.1]], dtype=torch.float64)


@pytest.fixture
def field() -> AnalyticField:
    return AnalyticField()


def some_rays(size: int = 9) -> Rays:
    return pixel_rays(look_at_origin(POSES), size=size, fov=math.radians(12))


def test_optical_depth_is_the_integral_of_the_density(field: AnalyticField) -> None:
    rays = some_rays(5)
    t = torch.linspace(0.88, 1.12, 2001, dtype=torch.float64).expand(2, 25, -1)
    points = rays.at(t).flatten(1, 2)
    density = field(points, rays.directions[:, :, None].expand(-1, -1, 2001, -1).flatten(1, 2))[1].view(
        t.shape
    )
    summed = torch.cumulative_trapezoid(density, t, dim=-1)
    closed = field.optical_depth(rays, t[..., 1:])
    torch.testing.assert_close(closed, summed, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(field.optical_depth(rays)[..., 0], closed[..., -1])
    assert closed[..., -1].max() > 100
    assert (closed[..., -1] == 0).any(), "some rays pass by"


def test_the_integral_does_not_depend_on_the_number_of_nodes(field: AnalyticField) -> None:
    coarse, fine = (field.integral(some_rays(17), nodes=nodes) for nodes in (128, 300))
    torch.testing.assert_close(coarse, fine, rtol=0, atol=1e-8)


def test_a_ray_that_passes_by_sees_the_wall_and_the_middle_does_not(field: AnalyticField) -> None:
    rays = some_rays()
    seen, behind = field.integral(rays), wall(rays.origins, rays.directions)
    free = field.optical_depth(rays)[..., 0] == 0
    assert torch.equal(seen[free], behind[free])
    assert (seen - behind)[:, 40].abs().amax() > 0.1


def test_1024_even_samples_are_close_to_the_exact_integral(field: AnalyticField) -> None:
    rays = some_rays()
    sampler = StratifiedSampler(points=1024, near=0.88, far=1.12, background_z=WALL_Z)
    views = [SceneView(field, rays.rows(slice(i, i + 1))) for i in range(2)]
    torch.testing.assert_close(draw(sampler, views), field.integral(rays) * 2 - 1, rtol=0, atol=5e-5)


def test_the_wall_is_the_same_wherever_on_a_ray_one_asks() -> None:
    rays = some_rays()
    along = rays.at(torch.tensor([0.5, 1.0, 1.3], dtype=torch.float64).expand(2, 81, 3))
    directions = rays.directions[:, :, None].expand_as(along)
    first = wall(along, directions)
    torch.testing.assert_close(first, first[..., :1, :].expand_as(first))
    assert wall(rays.origins, -rays.directions).isfinite().all()


def test_colours_are_colours_and_the_density_is_smooth_at_the_surface(field: AnalyticField) -> None:
    points = (torch.rand(1, 4000, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * 0.24
    rgb, density = field(points, torch.tensor([0.0, 0.0, -1.0]).expand_as(points))
    assert 0.0 <= rgb.min() <= rgb.max() <= 1.0
    assert density.min() > 0
    across = torch.tensor([0.999, 1.0, 1.001], dtype=torch.float64)[:, None] * torch.tensor(
        [0.0, 0.0, SEMI_AXES[2]]
    )
    values = field(across[None], torch.tensor([0.0, 0.0, -1.0]).double().expand(1, 3, 3))[1][0]
    assert [float(a - b) for a, b in pairwise(values)] == pytest.approx([5400 * 0.001999**2, 0.0], rel=1e-3)


def test_shells_follow_the_ellipsoid(field: AnalyticField) -> None:
    directions = torch.nn.functional.normalize(
        torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    surface: Tensor = directions * torch.tensor(SEMI_AXES)
    torch.testing.assert_close(field.rho(surface), torch.ones(500))
    torch.testing.assert_close(shells()(surface), torch.full((500,), 10.0), rtol=1e-2, atol=0)
