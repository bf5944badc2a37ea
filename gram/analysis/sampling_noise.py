"""Noise and bias of images due to a small number of points per ray.

The same views are rendered with several seeds of a sampler. In units of images in [-1, 1], with x the value
of a pixel and channel:

- `std`: sqrt of the variance of x over seeds, averaged over pixels and channels; `std_p95` and `std_max` are
  the 95th percentile and the maximum of the standard deviation of x. Deterministic samplers are rendered with
  two seeds, so that their 0 is a measurement, too.
- `rmse`: sqrt of the mean squared difference to a reference, over seeds, pixels and channels; `psnr` = 20
  log10(2 / rmse), dB. It includes noise and bias: rmse^2 = bias^2 + (1 - 1 / seeds) std^2.

The reference of volumetric samplers is the volume-rendering integral at 1,024 evenly spaced points. Surfaces
do not approximate a volume: their reference is their limit, 1,024 surfaces of the same kind, each of which
represents the space to the next (delta times the number of intervals is constant). If the exact integral is
known, `integral_rmse` is the difference to that.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.rendering.render_rays import Radiance, shade
from gram.rendering.samplers import Noise, Sampler, StratifiedSampler
from gram.shapes import Float

REFERENCE_POINTS = 1024
REPEATS = 2
"""Number of renderings of deterministic samplers."""
POINTS_AT_ONCE = 2**18
"""Maximum number of points evaluated at once, bounds memory."""


class NoSuchSamplerError(ValueError):
    """Kind of sampler that is not available for a field or number of points; the message says why."""


Build = Callable[[str, int], Sampler]
"""Function of a kind and a number of points per ray that builds a sampler or raises NoSuchSamplerError."""


@dataclass(frozen=True)
class SceneView:
    """View of a field; `rays` are (1, n, 3)."""

    radiance: Radiance
    rays: Rays


@dataclass(frozen=True)
class SampledScene:
    """Views to render, and samplers for them.

    Attributes:
        views: views of the fields.
        build: builds samplers for them.
        integral: exact colours in [-1, 1] of the views, if known.
    """

    views: Sequence[SceneView]
    build: Build
    integral: Float[Tensor, "views n 3"] | None = None


@dataclass(frozen=True, kw_only=True)
class SamplingNoise:
    """Noise and error of one sampler, see the module."""

    sampler: str
    points: int
    seeds: int
    std: float
    std_p95: float
    std_max: float
    rmse: float
    psnr: float | None  # None for equal images
    integral_rmse: float | None


@dataclass(frozen=True)
class Skipped:
    """Unavailable sampler, and the reason."""

    sampler: str
    points: int
    why: str


def measure(
    subject: SampledScene,
    kinds: Sequence[str],
    points: Sequence[int],
    *,
    seeds: int,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[SamplingNoise], list[Skipped]]:
    """Measure noise and error of every kind of sampler with every number of points.

    Args:
        subject: scene to render.
        kinds: kinds of samplers, see `gram.rendering.samplers`.
        points: numbers of points per ray.
        seeds: number of renderings of stochastic samplers, at least 2.
        progress: called with the number of pairs done.

    Returns:
        Measurements, and unavailable samplers.
    """
    references: dict[str, Tensor] = {}
    measured: list[SamplingNoise] = []
    skipped: list[Skipped] = []
    for kind, number in product(kinds, points):
        try:
            sampler = subject.build(kind, number)
        except NoSuchSamplerError as error:
            skipped.append(Skipped(kind, number, str(error)))
            continue
        truth = reference_of(kind, sampler)
        if truth not in references:
            references[truth] = draw(subject.build(truth, REFERENCE_POINTS), subject.views)
        repeats = seeds if sampler.stochastic else REPEATS
        images = torch.stack([draw(sampler, subject.views, seed) for seed in range(repeats)])
        measured.append(summarise(images, references[truth], subject.integral, sampler=kind, points=number))
        progress(len(measured) + len(skipped))
    return measured, skipped


def reference_of(kind: str, sampler: Sampler) -> str:
    """Kind of sampler whose 1,024 points are the reference of another."""
    return kind if sampler.has_surfaces else StratifiedSampler.kind


def summarise(
    images: Float[Tensor, "seeds views n 3"],
    reference: Float[Tensor, "views n 3"],
    integral: Float[Tensor, "views n 3"] | None,
    *,
    sampler: str,
    points: int,
) -> SamplingNoise:
    """Compute noise and error of images that differ in their seeds alone."""
    variance = (images - images[:1]).double().var(0)  # exactly 0 for equal images
    rmse = _rms(images - reference)
    return SamplingNoise(
        sampler=sampler,
        points=points,
        seeds=len(images),
        std=float(variance.mean().sqrt()),
        std_p95=float(np.quantile(variance.sqrt().cpu().numpy(), 0.95)),
        std_max=float(variance.max().sqrt()),
        rmse=rmse,
        psnr=20.0 * math.log10(2.0 / rmse) if rmse > 0.0 else None,
        integral_rmse=None if integral is None else _rms(images - integral),
    )


@torch.no_grad()
def draw(
    sampler: Sampler,
    views: Sequence[SceneView],
    seed: int | None = None,
    *,
    points_at_once: int = POINTS_AT_ONCE,
) -> Float[Tensor, "views n 3"]:
    """Render the colours of the views in [-1, 1], without randomness if the seed is None."""
    images = []
    for index, (radiance, rays) in enumerate((view.radiance, view.rays) for view in views):
        count = max(1, points_at_once // sampler.points_per_ray)
        device = rays.origins.device
        seeds = None if seed is None else torch.tensor([seed * len(views) + index], device=device)
        parts = []
        for first in range(0, rays.origins.shape[1], count):
            chunk = rays.rows(slice(None), slice(first, first + count))
            noise = None if seeds is None else Noise(seeds, first)
            parts.append(shade(sampler, radiance, chunk, noise).rgb)
        images.append(torch.cat(parts, 1)[0] * 2.0 - 1.0)
    return torch.stack(images)


def _rms(difference: Tensor) -> float:
    return float(difference.double().square().mean().sqrt())
