"""What a generator does with its rays and latents: numbers that tell a healthy one from a dead one."""

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
"""Latents, and pixels along one side of their pictures: a small part of the work of one training step."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Latents and cameras that are looked at again and again: what changes is the generator alone.

    Attributes:
        z: latents.
        poses: (pitch, yaw) of a camera for each, radians.
        size: pixels along one side of their pictures.
    """

    z: Float[Tensor, "count z_dim"]
    poses: Float[Tensor, "count 2"]
    size: int

    @classmethod
    def draw(
        cls, z_dim: int, prior: PosePrior, *, seed: int, count: int = PROBED, size: int = PROBED_SIZE
    ) -> "Probe":
        """The probe of a seed; no other randomness is touched."""
        rng = torch.Generator().manual_seed(seed)
        z = torch.randn(count, z_dim, generator=rng)
        return cls(z=z, poses=prior.sample(count, generator=rng), size=size)


@torch.no_grad()
def diagnose(generator: Generator, probe: Probe) -> dict[str, float]:
    """Every number of this module, by name: those of `ray_numbers` on the probe's cameras, and

    - `diversity` of the probe's latents, all seen from the front;
    - `nonfinite`: the share of NaN and infinite values among the pixels of both sets of pictures.
    """
    device = next(generator.parameters()).device
    z, poses = probe.z.to(device), probe.poses.to(device)
    rays = pixel_rays(look_at_origin(poses), size=probe.size, fov=generator.fov)
    seen = generator.shade(generator.mapping(z), rays)
    frontal = generator(z, torch.full_like(poses, math.pi / 2), size=probe.size)
    pixels = torch.cat([seen.rgb.flatten(), frontal.flatten()])
    numbers = ray_numbers(generator.sampler, generator.sampler.sample(rays), seen.weights)
    numbers["diversity"] = diversity(frontal)
    numbers["nonfinite"] = 1.0 - pixels.isfinite().float().mean()
    return dict(zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True))


def ray_numbers(sampler: Sampler, samples: Samples, weights: Float[Tensor, "*rays n"]) -> dict[str, Tensor]:
    """Means over rays.

    - `opacity`: the light that is stopped before it comes to the background plane or, where a volume has a
      background, to the last sample, in [0, 1].

    For samplers on surfaces there are also, for each level from the outermost, 00, to the innermost,
    - `hits/00`: the share of the rays that meet it;
    - `weight/00`: its compositing weight; `weight/plane` is that of the background plane;
    and, for each two neighbouring levels on each ray that meets both, the distance from one to the other
    along the ray, in world units: `spacing/mean` and `spacing/min`. No ray like that, no such number.

    Args:
        sampler: where the samples are from.
        samples: in the order of the levels, the plane last.
        weights: of the samples, from compositing.
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
    """What the samples of a volume stop, the last one left out where it is the opaque background.

    `samples` are those known before any density; what is chosen by densities comes after them in `weights`
    and lies between them.
    """
    known = weights[..., : samples.t.shape[-1]]
    return weights.sum(-1) - torch.where(sampler.background(samples.t), known, 0.0).sum(-1)


def diversity(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, ""]:
    """How different images are: the standard deviation over the images of every pixel and channel (that of
    a population: divided by the number of images), averaged over pixels and channels.

    In the unit of the images: 0 where all are equal, at most 1 in [-1, 1].
    """
    return images.float().std(0, correction=0).mean()


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no element of any tensor, each on a device of its own, is NaN or infinite."""
    return all([bool(found) for found in [tensor.isfinite().all() for tensor in tensors]])
