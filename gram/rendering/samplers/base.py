"""Base class of samplers, which choose the points of a ray and turn densities into occupancies."""

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
"""Interval length that makes any density opaque."""


class Samples(NamedTuple):
    """Points on rays, in any order; points that are no `hit` have no opacity."""

    t: Float[Tensor, "*rays n"]
    hit: Bool[Tensor, "*rays n"]


class Sampler(BackendModule, ABC):
    """Choice of the points of a ray, and conversion of their densities to occupancies.

    The parameters of a sampler, if any, are its geometry and learn the positions of points.

    Args:
        near: start of the sampled interval, distance along the ray.
        far: end of that interval.
        background_z: z of the opaque background plane; None for a white background.
    """

    kind: ClassVar[str]
    """Name in configurations, model folders and results."""
    options: ClassVar[tuple[str, ...]] = ("points",)
    """Arguments beside near, far and background_z."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Subset of `options` that settings may omit."""
    network_settings: ClassVar[str | None] = None
    """Section of a model's settings with the arguments of the sampler's network, if it has one."""
    fewest_points: ClassVar[int] = 1
    """Minimum number of points per ray."""
    learns: ClassVar[bool] = False
    """True if the geometry is trained."""
    stochastic: ClassVar[bool] = False
    """True if points depend on noise."""
    has_surfaces: ClassVar[bool] = False
    """True if samples lie on surfaces without thickness, composited with a constant delta."""
    has_isosurfaces: ClassVar[bool] = False
    """True if these surfaces are levels of a manifold predictor."""

    surfaces: int = 0
    """Number of surfaces, without the background plane."""

    def __init__(self, *, near: float, far: float, background_z: float | None) -> None:
        super().__init__()
        self.near, self.far = near, far
        self.background_z = background_z

    @classmethod
    def build(cls, settings: Mapping[str, Any]) -> "Sampler":
        """Build an untrained sampler from the settings of a model.

        Raises:
            ValueError: invalid arguments.
        """
        return cls(**cls.arguments(settings))

    @staticmethod
    def arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the sampler, without its kind and its network."""
        return {name: value for name, value in settings["sampler"].items() if name != "kind"}

    @property
    def white_background(self) -> bool:
        """True if the background is white rather than an opaque plane."""
        return self.background_z is None

    @property
    @abstractmethod
    def points_per_ray(self) -> int:
        """Number of evaluations of the radiance field per ray."""

    @property
    @abstractmethod
    def typical_delta(self) -> float:
        """Typical length delta in alpha = 1 - exp(-delta density), world units."""

    @property
    def layer_spacing(self) -> float:
        """Typical distance between samples, world units."""
        return self.typical_delta

    def learn(self, now: bool) -> None:
        """Enable or disable gradients of the geometry; no effect if the sampler does not learn."""
        self.requires_grad_(now and self.learns)

    @abstractmethod
    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Choose points on rays (batch, n) that do not depend on the radiance field.

        Args:
            rays: camera rays.
            noise: seeds of stochastic samplers; without it they take the middle of each range.
        """

    def refine(
        self, samples: Samples, density: Float[Tensor, "*rays n"], noise: Noise | None = None
    ) -> Samples | None:
        """Choose further points by the densities at the first ones; None if there are none."""
        return None

    @abstractmethod
    def occupancy(self, samples: Samples, density: Float[Tensor, "*rays n"]) -> Float[Tensor, "*rays n"]:
        """Occupancy alpha in [0, 1] of every sample, 0 for misses."""

    def background(self, t: Float[Tensor, "*rays n"]) -> Bool[Tensor, "*rays n"]:
        """Mask of the opaque background sample of each ray: the farthest, none on a white background."""
        none = torch.zeros_like(t, dtype=torch.bool)
        if self.white_background:
            return none
        return none.scatter(-1, t.detach().argmax(-1, keepdim=True), True)

    def background_t(self, rays: Rays) -> Float[Tensor, "*rays"]:
        """Distance along rays (batch, n) to the opaque background."""
        with torch.no_grad():
            return self.sample(rays).t.amax(-1)

    def inside(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """Weight of points: 1 in the region where samples lie, falling to 0 in front of it."""
        return torch.ones_like(points[..., 0])

    def layers(self, points: Float[Tensor, "*batch 3"]) -> Int[Tensor, "*batch"] | None:
        """Number of surfaces in front of points; None for samplers without surfaces."""
        return None
