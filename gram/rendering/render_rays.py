"""Ray rendering: sample points on rays, evaluate the radiance field there, composite."""

from collections.abc import Callable

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.ops.backend import backend_of
from gram.rendering.compositing import Composite, composite
from gram.rendering.samplers import Noise, Sampler, Samples
from gram.shapes import Float

Radiance = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Radiance fields of a batch: points (batch, n, 3), unit view directions (batch, n, 3) and `hit` (batch, n)
to colours (batch, n, 3) and densities (batch, n), which are arbitrary where `hit` is false."""


def shade(
    sampler: Sampler,
    radiance: Radiance,
    rays: Rays,
    noise: Noise | None = None,
    *,
    samples: Samples | None = None,
    background: bool = True,
) -> Composite:
    """Render rays (batch, n); rgb in [0, 1].

    Args:
        sampler: chooses points of rays and turns densities into occupancies.
        radiance: radiance field.
        rays: camera rays.
        noise: seeds of a stochastic sampler.
        samples: result of `sampler.sample` on these rays, if already computed.
        background: render the background; without it, it is black, and opacity and depth are those of the
            foreground.
    """
    # first samples, then those that depend on their densities
    samples = sampler.sample(rays, noise) if samples is None else samples
    by_level = not (sampler.backend or backend_of(rays.origins.device)).host_sync
    rgb, density = _radiance_at(radiance, rays, samples, by_level=by_level)
    further = sampler.refine(samples, density.detach(), noise)
    if further is not None:
        more_rgb, more_density = _radiance_at(radiance, rays, further, by_level=by_level)
        rgb, density = torch.cat([rgb, more_rgb], -2), torch.cat([density, more_density], -1)
        samples = Samples(*(torch.cat(pair, -1) for pair in zip(samples, further, strict=True)))
    # occupancies; without a background, none from its sample on
    alpha = sampler.occupancy(samples, density)
    if not background:
        ends = torch.where(sampler.background(samples.t), samples.t, torch.inf).amin(-1, keepdim=True)
        alpha = alpha.masked_fill(samples.t >= ends, 0.0)
    white = background and sampler.white_background
    return composite(samples.t, rgb, alpha, far=sampler.far, white_background=white)


def _radiance_at(
    radiance: Radiance, rays: Rays, samples: Samples, *, by_level: bool
) -> tuple[Float[Tensor, "batch n points 3"], Float[Tensor, "batch n points"]]:
    """Evaluate colours and densities of samples (batch, n, points).

    By level, neighbouring rays miss together, and kernels skip blocks of points that all miss.
    """
    points = rays.at(samples.t)
    inputs = (points, rays.directions[..., None, :].expand_as(points), samples.hit)
    if by_level:  # (batch, points, n)
        points, directions, hit = (tensor.transpose(1, 2) for tensor in inputs)
    else:
        points, directions, hit = inputs
    rgb, density = radiance(points.flatten(1, 2), directions.flatten(1, 2), hit.flatten(1, 2))
    rgb, density = rgb.view_as(points), density.view(hit.shape)
    return (rgb.transpose(1, 2), density.transpose(1, 2)) if by_level else (rgb, density)
