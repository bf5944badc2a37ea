"""Shading: what is given is used, and fine samples join coarse ones."""

import math

import torch
from torch import Tensor

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.rendering.render_rays import shade
from gram.rendering.samplers import HierarchicalSampler, StratifiedSampler

SPACE = {"near": 0.88, "far": 1.12, "background_z": None}


def some_rays() -> Rays:
    return pixel_rays(look_at_origin(torch.tensor([[1.5, 1.4]])), size=3, fov=math.radians(12))


def grey_fog(points: Tensor, directions: Tensor, hit: Tensor) -> tuple[Tensor, Tensor]:
    return torch.full_like(points, 0.25), torch.full_like(points[..., 0], 3.0)


def test_fog_of_constant_density_has_its_closed_form() -> None:
    sampler = StratifiedSampler(points=4, **SPACE)
    seen = shade(sampler, grey_fog, some_rays())
    opacity = -math.expm1(-3.0 * (0.24 - 0.03))  # the first interval starts with the first sample
    torch.testing.assert_close(seen.opacity, torch.full((1, 9), opacity))
    torch.testing.assert_close(seen.rgb, torch.full((1, 9, 3), 0.25 * opacity + 1.0 - opacity))


def test_samples_that_are_known_are_not_drawn_again() -> None:
    sampler, rays = StratifiedSampler(points=4, **SPACE), some_rays()
    samples = sampler.sample(rays)
    nearer = samples._replace(t=samples.t - 0.01)
    drawn, given, other = (shade(sampler, grey_fog, rays, samples=some) for some in (None, samples, nearer))
    assert torch.equal(given.rgb, drawn.rgb)
    assert other.opacity.min() > drawn.opacity.max()


def test_fine_samples_are_evaluated_once_and_composited_with_the_coarse() -> None:
    asked: list[int] = []

    def counting(points: Tensor, directions: Tensor, hit: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(points.shape[1] // 9)
        return grey_fog(points, directions, hit)

    seen = shade(HierarchicalSampler(points=9, **SPACE), counting, some_rays())
    assert asked == [5, 4]
    assert seen.weights.shape == (1, 9, 9)
    assert (seen.weights > 0).all()
