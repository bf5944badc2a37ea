"""How noisy and how wrong pictures are because a ray is sampled at few points.

The same views are drawn with several seeds of a sampler. In units of images in [-1, 1], x being the value of
a pixel and channel:

- `std`: sqrt of the variance of x over seeds, averaged over pixels and channels; `std_p95` and `std_max` are
  the 95th percentile and the maximum of the standard deviation of x. A sampler that claims to have no
  randomness is drawn with two seeds, so that its 0 is a measurement, too.
- `rmse`: sqrt of the mean squared difference to a reference, over seeds, pixels and channels; `psnr` = 20
  log10(2 / rmse), dB. It holds what is random and what is not: rmse^2 = bias^2 + (1 - 1 / seeds) std^2.

The reference of samplers in a volume is the volume-rendering integral at 1,024 evenly spaced points.
Surfaces do not approximate a volume: their reference is their own limit, 1,024 surfaces of the same kind,
each of which stands for the space to the next (delta times the number of intervals is the same). Where the
integral is known, `integral_rmse` tells how far either is from that.
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
"""Pictures of samplers that claim to have no randomness."""
POINTS_AT_ONCE = 2**18
"""Bounds the memory, changes nothing else."""


class NoSuchSamplerError(ValueError):
    """A kind of sampler that makes no sense for a field or for so many points; the message says why."""


Build = Callable[[str, int], Sampler]
"""The sampler of a kind with n points a ray; raises NoSuchSamplerError where there is none."""


@dataclass(frozen=True)
class SceneView:
    """One picture of one field: `rays` are (1, n, 3)."""

    radiance: Radiance
    rays: Rays


@dataclass(frozen=True)
class SampledScene:
    """What is looked at.

    Attributes:
        views: pictures of the field.
        build: samplers for it.
        integral: exact colours in [-1, 1] of the views, where they are known.
    """

    views: Sequence[SceneView]
    build: Build
    integral: Float[Tensor, "views n 3"] | None = None


@dataclass(frozen=True, kw_only=True)
class SamplingNoise:
    """Of one sampler; see above."""

    sampler: str
    points: int
    seeds: int
    std: float
    std_p95: float
    std_max: float
    rmse: float
    psnr: float | None  # None where there is no difference
    integral_rmse: float | None


@dataclass(frozen=True)
class Skipped:
    """A sampler that there is none of, and why."""

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
    """Noise and error of every kind of sampler with every number of points, and what there is none of.

    Args:
        subject: a field.
        kinds: see `gram.rendering.samplers`.
        points: numbers of points a ray.
        seeds: pictures that are compared with each other, at least 2.
        progress: is told how many of the pairs are done.
    """
    references: dict[str, Tensor] = {}
    found: list[SamplingNoise] = []
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
        found.append(summarise(images, references[truth], subject.integral, sampler=kind, points=number))
        progress(len(found) + len(skipped))
    return found, skipped


def reference_of(kind: str, sampler: Sampler) -> str:
    """The kind of sampler whose 1,024 points are the reference of another."""
    return kind if sampler.has_surfaces else StratifiedSampler.kind


def summarise(
    images: Float[Tensor, "seeds views n 3"],
    reference: Float[Tensor, "views n 3"],
    integral: Float[Tensor, "views n 3"] | None,
    *,
    sampler: str,
    points: int,
) -> SamplingNoise:
    """The numbers of pictures that differ in their seeds alone."""
    variance = (images - images[:1]).double().var(0)  # of exactly equal pictures exactly 0
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
    """Colours of the views in [-1, 1]; without a seed no randomness, with one every ray has its own."""
    pictures = []
    for index, (radiance, rays) in enumerate((view.radiance, view.rays) for view in views):
        count = max(1, points_at_once // sampler.points_per_ray)
        device = rays.origins.device
        seeds = None if seed is None else torch.tensor([seed * len(views) + index], device=device)
        parts = []
        for first in range(0, rays.origins.shape[1], count):
            some = rays.rows(slice(None), slice(first, first + count))
            noise = None if seeds is None else Noise(seeds, first)
            parts.append(shade(sampler, radiance, some, noise).rgb)
        pictures.append(torch.cat(parts, 1)[0] * 2.0 - 1.0)
    return torch.stack(pictures)


def _rms(difference: Tensor) -> float:
    return float(difference.double().square().mean().sqrt())
