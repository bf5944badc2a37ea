"""Front-to-back compositing of the samples of a ray (GRAM, equation 5)."""

from typing import NamedTuple

import torch
from torch import Tensor

from gram.shapes import Bool, Float

EPSILON = 1e-10
"""Added to 1 - alpha, as published: transmittance stays positive behind an opaque sample."""


class Composite(NamedTuple):
    """Rendered rays; `weights` and `t` are in the order of the samples."""

    rgb: Float[Tensor, "*rays 3"]
    depth: Float[Tensor, "*rays"]  # distance along the ray
    opacity: Float[Tensor, "*rays"]  # sum of the weights, in [0, 1]
    weights: Float[Tensor, "*rays n"]
    t: Float[Tensor, "*rays n"]


def occupancy_from_density(
    density: Float[Tensor, "*rays n"], hit: Bool[Tensor, "*rays n"], delta: Float[Tensor, " n"]
) -> Float[Tensor, "*rays n"]:
    """Compute alpha = 1 - exp(-delta * density), 0 for misses; `delta` is constant per surface.

    Example:
        >>> density, hit = torch.tensor([[1e9, 1e9]]), torch.tensor([[True, False]])
        >>> occupancy_from_density(density, hit, torch.tensor([0.01, 0.01])).tolist()
        [[1.0, 0.0]]
    """
    return torch.where(hit, -torch.expm1(-delta * density), 0.0)


def composite(
    t: Float[Tensor, "*rays n"],
    rgb: Float[Tensor, "*rays n 3"],
    alpha: Float[Tensor, "*rays n"],
    *,
    far: float,
    white_background: bool = False,
) -> Composite:
    """Composite samples by distance: C = sum_i T_i alpha_i c_i, T_i = prod_{j < i} (1 - alpha_j + 1e-10).

    Args:
        t: distance of every sample along its ray, any order.
        rgb: colours, in any range.
        alpha: occupancies in [0, 1].
        far: depth of rays without any opacity.
        white_background: add the remaining transmittance times 1, white for rgb in [0, 1].

    Example:
        >>> t, alpha = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 1.0]])
        >>> red_before_blue = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
        >>> result = composite(t, red_before_blue, alpha, far=3.0)
        >>> [round(value, 3) for value in result.rgb[0].tolist()], round(result.depth.item(), 3)
        ([0.5, 0.0, 0.5], 1.5)
    """
    # transmittance before each sample: exclusive cumulative product in the order of t, as a sum of logs
    order = t.detach().argsort(dim=-1, stable=True)
    log_through = torch.log(1.0 - alpha.gather(-1, order) + EPSILON)
    log_before = torch.cumsum(log_through, dim=-1) - log_through
    transmittance = torch.zeros_like(alpha).scatter(-1, order, torch.exp(log_before))
    # weighted sums over samples
    weights = transmittance * alpha
    opacity = weights.sum(-1)
    color = (weights[..., None] * rgb).sum(-2)
    if white_background:
        color = color + (1.0 - opacity)[..., None]
    # mean distance under the weights
    opaque = opacity > EPSILON
    depth = torch.where(opaque, (weights * t).sum(-1) / torch.where(opaque, opacity, 1.0), far)
    return Composite(color, depth, opacity, weights, t)


def median_depth(
    t: Float[Tensor, "*rays n"], weights: Float[Tensor, "*rays n"], *, far: float
) -> Float[Tensor, "*rays"]:
    """Compute the median distance under the weights: that of the sample where their sum reaches half.

    It lies on a surface, whereas the mean (`Composite.depth`) may lie between two.

    Args:
        t: distance of every sample along its ray, any order.
        weights: compositing weights of the samples.
        far: depth of rays without any opacity.

    Example:
        >>> t, weights = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.4, 0.6]])
        >>> median_depth(t, weights, far=3.0).item()
        2.0
    """
    t, order = t.sort(dim=-1, stable=True)
    # first sample at which the cumulative weight reaches half of the total
    cumulative = weights.gather(-1, order).cumsum(-1)
    first = (2.0 * cumulative >= cumulative[..., -1:]).float().argmax(-1, keepdim=True)
    return torch.where(cumulative[..., -1] > EPSILON, t.gather(-1, first)[..., 0], far)
