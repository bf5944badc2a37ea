"""Differences and correlation of angles, in radians, on the circle."""

import math

import torch
from torch import Tensor

from gram.shapes import Float


def turn_between(one: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The shortest way from `other` to `one`, in [-pi, pi).

    Example:
        >>> turn_between(torch.tensor([0.1]), torch.tensor([2 * math.pi - 0.1])).item() > 0
        True
    """
    return (one - other + math.pi) % (2.0 * math.pi) - math.pi


def circular_correlation(one: Float[Tensor, " count"], other: Float[Tensor, " count"]) -> float:
    """1 where `other` is `one` turned by a constant, -1 where it is its mirror image, about 0 where they are
    independent; for small angles it is Pearson's correlation. NaN where one of them is constant.

    The sum over all pairs of sin(a_i - a_j) sin(b_i - b_j), normalised (Fisher and Lee, Biometrika 70, 1983).
    Unlike coefficients around a mean it is defined for angles all around the circle.

    Example:
        >>> angles = torch.linspace(0.0, 6.0, 50)
        >>> [round(circular_correlation(angles, other), 6) for other in (angles + 1.0, -angles)]
        [1.0, -1.0]
    """
    sines = [torch.sin(angles.double()[:, None] - angles.double()) for angles in (one, other)]
    scale = math.sqrt(float(sines[0].square().sum()) * float(sines[1].square().sum()))
    return float((sines[0] * sines[1]).sum()) / scale if scale > 0.0 else math.nan
