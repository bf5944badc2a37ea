"""What rays see: a sampler chooses points, a field colours them, compositing adds them up."""

from collections.abc import Callable

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.ops.backend import backend_of
from gram.rendering.compositing import Composite, composite
from gram.rendering.samplers import Noise, Sampler, Samples
from gram.shapes import Float

Radiance = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Colours (batch, n, 3) and densities (batch, n) of one field an image: at points (batch, n, 3) that are seen
along unit directions (batch, n, 3). Where a third tensor, `hit` (batch, n), is false they may be anything."""


def shade(
    sampler: Sampler,
    radiance: Radiance,
    rays: Rays,
    noise: Noise | None = None,
    *,
    samples: Samples | None = None,
    background: bool = True,
) -> Composite:
    """What each ray (batch, n) sees of its image's field; rgb in [0, 1].

    Args:
        sampler: where the field is evaluated, and how its densities are composited.
        radiance: the field.
        rays: of cameras.
        noise: of a stochastic sampler.
        samples: the sampler's first on these rays, where they are known.
        background: show the background; without it there is black in its place and behind it, and opacity and
            depth are those of the foreground.
    """
    samples = sampler.sample(rays, noise) if samples is None else samples
    by_level = not (sampler.backend or backend_of(rays.origins.device)).host_sync
    rgb, density = _radiance_at(radiance, rays, samples, by_level=by_level)
    further = sampler.refine(samples, density.detach(), noise)
    if further is not None:
        more_rgb, more_density = _radiance_at(radiance, rays, further, by_level=by_level)
        rgb, density = torch.cat([rgb, more_rgb], -2), torch.cat([density, more_density], -1)
        samples = Samples(*(torch.cat(pair, -1) for pair in zip(samples, further, strict=True)))
    alpha = sampler.occupancy(samples, density)
    if not background:
        ends = torch.where(sampler.background(samples.t), samples.t, torch.inf).amin(-1, keepdim=True)
        alpha = alpha.masked_fill(samples.t >= ends, 0.0)
    white = background and sampler.white_background
    return composite(samples.t, rgb, alpha, far=sampler.far, white_background=white)


def _radiance_at(
    radiance: Radiance, rays: Rays, samples: Samples, *, by_level: bool
) -> tuple[Float[Tensor, "batch n points 3"], Float[Tensor, "batch n points"]]:
    """Colour and density of samples (batch, n, points).

    By level, neighbouring rays miss together, and kernels skip blocks of points that all miss.
    """
    places = rays.at(samples.t)
    given = (places, rays.directions[..., None, :].expand_as(places), samples.hit)
    if by_level:
        places, directions, hit = (tensor.transpose(1, 2) for tensor in given)
    else:
        places, directions, hit = given
    rgb, density = radiance(places.flatten(1, 2), directions.flatten(1, 2), hit.flatten(1, 2))
    rgb, density = rgb.view_as(places), density.view(hit.shape)
    return (rgb.transpose(1, 2), density.transpose(1, 2)) if by_level else (rgb, density)
