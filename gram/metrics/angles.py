"""Differences and correlation of angles on the circle, radians."""

import math

import torch
from torch import Tensor

from gram.shapes import Float


def angle_difference(one: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Signed difference `one - other` on the circle, in [-pi, pi).

    Example:
        >>> angle_difference(torch.tensor([0.1]), torch.tensor([2 * math.pi - 0.1])).item() > 0
        True
    """
    return (one - other + math.pi) % (2.0 * math.pi) - math.pi


def circular_correlation(one: Float[Tensor, " count"], other: Float[Tensor, " count"]) -> float:
    """Circular correlation in [-1, 1]; NaN if one of the inputs is constant.

    1 for angles that differ by a constant, -1 for mirrored ones, about 0 for independent ones; Pearson's
    correlation for small angles. It is the normalised sum over all pairs of sin(a_i - a_j) sin(b_i - b_j)
    (Fisher and Lee, Biometrika 70, 1983), defined without a mean for angles all around the circle.

    Example:
        >>> angles = torch.linspace(0.0, 6.0, 50)
        >>> [round(circular_correlation(angles, other), 6) for other in (angles + 1.0, -angles)]
        [1.0, -1.0]
    """
    sines = [torch.sin(angles.double()[:, None] - angles.double()) for angles in (one, other)]
    scale = math.sqrt(float(sines[0].square().sum()) * float(sines[1].square().sum()))
    return float((sines[0] * sines[1]).sum()) / scale if scale > 0.0 else math.nan
