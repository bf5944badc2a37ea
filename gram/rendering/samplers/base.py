"""What a sampler does: it chooses the points of a ray, and turns their densities into occupancies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.ops.backend import BackendModule
from gram.rendering.samplers.counter_rng import Noise
from gram.shapes import Bool, Float, Int

OPAQUE = 1e10
"""The length of an interval that lets no light through."""


class Samples(NamedTuple):
    """Points on rays, in any order; a point that is no `hit` is invisible, wherever it lies."""

    t: Float[Tensor, "*rays n"]
    hit: Bool[Tensor, "*rays n"]


class Sampler(BackendModule, ABC):
    """Where on a ray the radiance field is evaluated, and how its densities are composited.

    The parameters of a sampler, if it has any, are its geometry: they learn where to evaluate.

    Args:
        near: start of the space that rays cross, distance along the ray.
        far: end of that space.
        background_z: height of the opaque background plane z = const; None for a white background.
    """

    kind: ClassVar[str]
    """Name in configurations, model folders and results."""
    options: ClassVar[tuple[str, ...]] = ("points",)
    """Arguments, beside near, far and background_z."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Those of them that settings may lack."""
    network_settings: ClassVar[str | None] = None
    """Section of a model's settings with the arguments of the sampler's network, if it has one."""
    fewest_points: ClassVar[int] = 1
    """Least number of points per ray."""
    learns: ClassVar[bool] = False
    """Whether the geometry is trained."""
    stochastic: ClassVar[bool] = False
    """Whether points depend on noise."""
    has_surfaces: ClassVar[bool] = False
    """Whether samples lie on surfaces without thickness, composited with a constant delta."""
    has_isosurfaces: ClassVar[bool] = False
    """Whether these are levels of a manifold predictor."""

    surfaces: int = 0
    """Number of surfaces, without the background plane."""

    def __init__(self, *, near: float, far: float, background_z: float | None) -> None:
        super().__init__()
        self.near, self.far = near, far
        self.background_z = background_z

    @classmethod
    def build(cls, settings: Mapping[str, Any]) -> "Sampler":
        """An untrained sampler from the settings of a model.

        Raises:
            ValueError: arguments that it cannot take.
        """
        return cls(**cls.arguments(settings))

    @staticmethod
    def arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the sampler alone, without its kind and its network."""
        return {name: value for name, value in settings["sampler"].items() if name != "kind"}

    @property
    def white_background(self) -> bool:
        """Whether light that passes every sample is white."""
        return self.background_z is None

    @property
    @abstractmethod
    def points_per_ray(self) -> int:
        """Points at which the radiance field is evaluated."""

    @property
    @abstractmethod
    def typical_delta(self) -> float:
        """Length that turns a density into the occupancy of one sample."""

    @property
    def layer_spacing(self) -> float:
        """Distance at which the occupancy of one sample counts once, world units."""
        return self.typical_delta

    def learn(self, now: bool) -> None:
        """Have gradients reach the geometry or not; one that does not learn stays as it is."""
        self.requires_grad_(now and self.learns)

    @abstractmethod
    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Points on rays (batch, n), known before the radiance field is.

        Args:
            rays: of cameras.
            noise: of stochastic samplers; without it they take the middle of all possibilities.
        """

    def refine(
        self, samples: Samples, density: Float[Tensor, "*rays n"], noise: Noise | None = None
    ) -> Samples | None:
        """Further points, chosen by the densities at the first; None if there are none."""
        return None

    @abstractmethod
    def occupancy(self, samples: Samples, density: Float[Tensor, "*rays n"]) -> Float[Tensor, "*rays n"]:
        """alpha in [0, 1] of every sample, 0 where it is no hit."""

    def background(self, t: Float[Tensor, "*rays n"]) -> Bool[Tensor, "*rays n"]:
        """The sample of each ray that is the opaque background: the farthest, or none if that is white."""
        nothing = torch.zeros_like(t, dtype=torch.bool)
        if self.white_background:
            return nothing
        return nothing.scatter(-1, t.detach().argmax(-1, keepdim=True), True)

    def background_t(self, rays: Rays) -> Float[Tensor, "*rays"]:
        """Distance along rays (batch, n) of the opaque background."""
        with torch.no_grad():
            return self.sample(rays).t.amax(-1)

    def inside(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """1 where the radiance field is ever evaluated, falling to 0 in front of that."""
        return torch.ones_like(points[..., 0])

    def layers(self, points: Float[Tensor, "*batch 3"]) -> Int[Tensor, "*batch"] | None:
        """Number of surfaces that lie in front of points; None for samplers without surfaces."""
        return None
