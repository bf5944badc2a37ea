"""Distance between the surfaces of a generator and a known true surface."""

from typing import NamedTuple

import torch
from torch import Tensor

from gram.shapes import Bool, Float


class SurfaceDepth(NamedTuple):
    """Mean distances along rays to the true surface, world units; NaN without valid rays."""

    heaviest: float  # from the sample with the largest weight
    bias: float  # the same, signed: positive if that sample is behind the true surface
    nearest: float  # from the nearest surface on the ray: a lower bound for any weights


def surface_depth(
    t: Float[Tensor, "*rays n"],
    hit: Bool[Tensor, "*rays n"],
    weights: Float[Tensor, "*rays n"],
    truth: Float[Tensor, "*rays"],
) -> SurfaceDepth:
    """Distances between surfaces and truth, on rays that hit both.

    Args:
        t: distance of every sample along its ray.
        hit: validity of the samples.
        weights: compositing weights of the samples.
        truth: distance of the true surface along each ray, NaN for misses.
    """
    # sample with the largest weight, on rays where it and the truth are known
    heaviest = weights.argmax(-1, keepdim=True)
    known = truth.isfinite() & hit.gather(-1, heaviest)[..., 0]
    offset = (t.gather(-1, heaviest)[..., 0] - truth)[known]
    nearest = torch.where(hit, (t - truth[..., None]).abs(), torch.inf).amin(-1)[known]
    return SurfaceDepth(float(offset.abs().mean()), float(offset.mean()), float(nearest.mean()))
