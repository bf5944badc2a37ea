"""Counter-based random numbers of stochastic samplers: a hash of (seed of the image, ray, sample).

There is no state: an image is the same whole or in patches, in any batch, process and device.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gram.shapes import Float, Int

_MASK = 0xFFFFFFFF
_STREAM, _RAY, _SAMPLE = 0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35
"""Odd multipliers of the three counters."""
_BITS = 24
"""Random bits of a uniform number, the precision of float32."""


class Noise(NamedTuple):
    """Seeds of the random numbers of a batch of images.

    Attributes:
        seeds: seed of each image, in [0, 2^31).
        first_ray: index within the image of the first sampled ray.
    """

    seeds: Int[Tensor, " batch"]
    first_ray: int = 0

    def of(self, images: slice, first_ray: int = 0) -> "Noise":
        """Select images, starting `first_ray` rays further on."""
        return Noise(self.seeds[images], self.first_ray + first_ray)


def uniform(noise: Noise, rays: int, count: int, *, stream: int = 0) -> Float[Tensor, "batch rays count"]:
    """Uniform numbers in [0, 1), independent for every image, ray and sample.

    Args:
        noise: seeds of the images.
        rays: number of rays of each image.
        count: number of samples of each ray.
        stream: different streams are independent.
    """
    seeds = noise.seeds
    ray = torch.arange(noise.first_ray, noise.first_ray + rays, device=seeds.device)
    sample = torch.arange(count, device=seeds.device)
    # hash chain: (batch,), (batch, rays), (batch, rays, count)
    image_hash = _hash32(seeds.long() + stream * _STREAM)
    ray_hash = _hash32(image_hash[:, None] + ray * _RAY)
    bits = _hash32(ray_hash[..., None] + sample * _SAMPLE)
    return (bits >> (32 - _BITS)).float() * 2.0**-_BITS


def _hash32(x: Tensor) -> Tensor:
    """Hash of 32 bits, held in int64 (C. Wellons' lowbias32)."""
    x = x & _MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)
