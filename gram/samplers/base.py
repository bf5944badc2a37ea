"""The one seam of the method: a sampler chooses the points of a ray and how their densities composite."""

from typing import NamedTuple, Protocol

from jaxtyping import Bool, Float
from torch import Tensor

from gram.cameras import Rays


class Samples(NamedTuple):
    """Points on rays, in any order; a point that is no `hit` is invisible, wherever it lies."""

    t: Float[Tensor, "*rays n"]
    hit: Bool[Tensor, "*rays n"]


class Sampler(Protocol):
    """Chooses where to evaluate the radiance field."""

    near: float
    far: float
    white_background: bool

    @property
    def points_per_ray(self) -> int:
        """Evaluations of the radiance field per ray."""
        ...

    def sample(self, rays: Rays) -> Samples:
        """Points on every ray."""
        ...

    def occupancy(self, samples: Samples, density: Float[Tensor, "*rays n"]) -> Float[Tensor, "*rays n"]:
        """alpha of every sample, 0 where it is no hit."""
        ...
