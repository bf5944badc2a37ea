"""Random numbers of stochastic samplers: a pure function of (seed of the image, ray, sample).

Nothing is drawn and nothing is remembered, so an image is the same in one piece or in patches, in whatever
batch, on whatever process and device.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gram.shapes import Float, Int

_MASK = 0xFFFFFFFF
_STREAM, _RAY, _SAMPLE = 0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35
"""Odd numbers that keep the three counters apart."""
_BITS = 24
"""Of a uniform number: all that float32 holds."""


class Noise(NamedTuple):
    """Which random numbers the rays of a batch of images get.

    Attributes:
        seeds: one an image, in [0, 2^31).
        first_ray: index in its image of the first ray that is sampled.
    """

    seeds: Int[Tensor, " batch"]
    first_ray: int = 0

    def of(self, images: slice, first_ray: int = 0) -> "Noise":
        """The noise of some of the images, from some ray on."""
        return Noise(self.seeds[images], self.first_ray + first_ray)


def uniform(noise: Noise, rays: int, count: int, *, stream: int = 0) -> Float[Tensor, "batch rays count"]:
    """Numbers in [0, 1), independent for every image, ray and place.

    Args:
        noise: of the images.
        rays: number of rays of each image.
        count: of numbers a ray.
        stream: different streams are independent.
    """
    seeds = noise.seeds
    ray = torch.arange(noise.first_ray, noise.first_ray + rays, device=seeds.device)
    place = torch.arange(count, device=seeds.device)
    of_image = _mixed(seeds.long() + stream * _STREAM)
    of_ray = _mixed(of_image[:, None] + ray * _RAY)
    bits = _mixed(of_ray[..., None] + place * _SAMPLE)
    return (bits >> (32 - _BITS)).float() * 2.0**-_BITS


def _mixed(x: Tensor) -> Tensor:
    """A hash of 32 bits, held in int64 (C. Wellons' lowbias32)."""
    x = x & _MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)
