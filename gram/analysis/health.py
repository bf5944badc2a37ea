"""Health of a generator: numbers about rays and latents that reveal a collapse."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.geometry.poses import PosePrior
from gram.model.generator import Generator
from gram.rendering.samplers import Sampler, Samples
from gram.shapes import Float

PROBED = 8
PROBED_SIZE = 16
"""Number of probed latents, and image side in pixels: much less work than a training step."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Fixed latents and cameras, so that only the generator changes between diagnoses.

    Attributes:
        z: latents.
        poses: (pitch, yaw) of the camera of each, radians.
        size: image side in pixels.
    """

    z: Float[Tensor, "count z_dim"]
    poses: Float[Tensor, "count 2"]
    size: int

    @classmethod
    def draw(
        cls, z_dim: int, prior: PosePrior, *, seed: int, count: int = PROBED, size: int = PROBED_SIZE
    ) -> "Probe":
        """Draw the probe of a seed; global random states do not change."""
        rng = torch.Generator().manual_seed(seed)
        z = torch.randn(count, z_dim, generator=rng)
        return cls(z=z, poses=prior.sample(count, generator=rng), size=size)


@torch.no_grad()
def diagnose(generator: Generator, probe: Probe) -> dict[str, float]:
    """Compute all numbers of this module by name: `ray_numbers` of the probe's cameras, and

    - `diversity` of frontal images of the probe's latents;
    - `nonfinite`: fraction of NaN and infinite values among the pixels of both sets of images.
    """
    device = next(generator.parameters()).device
    z, poses = probe.z.to(device), probe.poses.to(device)
    rays = pixel_rays(look_at_origin(poses), size=probe.size, fov=generator.fov)
    rendered = generator.shade(generator.mapping(z), rays)
    frontal = generator(z, torch.full_like(poses, math.pi / 2), size=probe.size)
    pixels = torch.cat([rendered.rgb.flatten(), frontal.flatten()])
    numbers = ray_numbers(generator.sampler, generator.sampler.sample(rays), rendered.weights)
    numbers["diversity"] = diversity(frontal)
    numbers["nonfinite"] = 1.0 - pixels.isfinite().float().mean()
    return dict(zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True))


def ray_numbers(sampler: Sampler, samples: Samples, weights: Float[Tensor, "*rays n"]) -> dict[str, Tensor]:
    """Compute means over rays.

    - `opacity`: opacity of the foreground, without the background plane or, in a volume with a background,
      the last sample, in [0, 1].

    For samplers on surfaces also, for each level from the outermost, 00, to the innermost,
    - `hits/00`: fraction of the rays that hit it;
    - `weight/00`: its compositing weight; `weight/plane` is that of the background plane;
    and the distance along the ray between neighbouring levels that are both hit, in world units:
    `spacing/mean` and `spacing/min`, if there are such rays.

    Args:
        sampler: sampler of the samples.
        samples: samples in the order of the levels, the plane last.
        weights: compositing weights of the samples.
    """
    if not sampler.has_surfaces:
        return {"opacity": _foreground(sampler, samples, weights).mean()}
    levels = sampler.surfaces
    hits = samples.hit[..., :levels].flatten(0, -2)
    shares = weights.flatten(0, -2).mean(0)
    numbers = {f"hits/{i:02}": share for i, share in enumerate(hits.float().mean(0))}
    numbers |= {f"weight/{i:02}": share for i, share in enumerate(shares[:levels])}
    if len(shares) > levels:
        numbers["weight/plane"] = shares[levels]
    both = hits[:, 1:] & hits[:, :-1]
    if both.any():
        spacing = samples.t[..., :levels].flatten(0, -2).diff(dim=-1).abs()[both]
        numbers |= {"spacing/mean": spacing.mean(), "spacing/min": spacing.min()}
    return numbers | {"opacity": shares[:levels].sum()}


def _foreground(
    sampler: Sampler, samples: Samples, weights: Float[Tensor, "*rays n"]
) -> Float[Tensor, "*rays"]:
    """Opacity of the samples of a volume without the opaque background sample, if any.

    `weights` are those of `samples`, followed by those of fine samples, which lie between them.
    """
    coarse = weights[..., : samples.t.shape[-1]]
    return weights.sum(-1) - torch.where(sampler.background(samples.t), coarse, 0.0).sum(-1)


def diversity(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, ""]:
    """Population standard deviation over images, averaged over pixels and channels.

    0 for equal images, at most 1 for images in [-1, 1].
    """
    return images.float().std(0, correction=0).mean()


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """True if no element of any tensor is NaN or infinite; starts all checks before the first host sync."""
    return all([bool(finite) for finite in [tensor.isfinite().all() for tensor in tensors]])
