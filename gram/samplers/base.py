"""What a sampler returns: it chooses the points of a ray, and turns their densities into occupancies."""

from typing import NamedTuple

from torch import Tensor

from gram.shapes import Bool, Float


class Samples(NamedTuple):
    """Points on rays, in any order; a point that is no `hit` is invisible, wherever it lies."""

    t: Float[Tensor, "*rays n"]
    hit: Bool[Tensor, "*rays n"]
