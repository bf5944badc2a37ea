"""How far the surfaces of a generator are from the true surface, where that is known."""

from typing import NamedTuple

import torch
from torch import Tensor

from gram.shapes import Bool, Float


class SurfaceDepth(NamedTuple):
    """Means over rays of distances along them, world units; NaN where no ray can tell."""

    heaviest: float  # from the sample with the largest weight to the true surface
    bias: float  # the same with a sign: positive where that sample is behind the true surface
    nearest: float  # from the nearest surface that the ray meets: the best that weights could choose


def surface_depth(
    t: Float[Tensor, "*rays n"],
    hit: Bool[Tensor, "*rays n"],
    weights: Float[Tensor, "*rays n"],
    truth: Float[Tensor, "*rays"],
) -> SurfaceDepth:
    """Distances of surfaces from the truth, on rays that meet both.

    Args:
        t: distance of every sample along its ray.
        hit: which samples there are.
        weights: of the samples, from compositing.
        truth: distance of the true surface along each ray, NaN where there is none.
    """
    heaviest = weights.argmax(-1, keepdim=True)
    known = truth.isfinite() & hit.gather(-1, heaviest)[..., 0]
    away = (t.gather(-1, heaviest)[..., 0] - truth)[known]
    nearest = torch.where(hit, (t - truth[..., None]).abs(), torch.inf).amin(-1)[known]
    return SurfaceDepth(float(away.abs().mean()), float(away.mean()), float(nearest.mean()))
