"""Samples on planes of constant z, as in multi-plane images."""

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.rendering.samplers.base import Samples
from gram.rendering.samplers.counter_rng import Noise
from gram.rendering.samplers.layered import LayeredSampler
from gram.shapes import Float, Int


class PlaneSampler(LayeredSampler):
    """One sample on each of n parallel planes, evenly spaced from front to back.

    z_i = (1 - near) + (i - 1) / (n - 1) (back - (1 - near)): the first plane touches the near end of the
    frontal camera's central ray. `back` is the background plane, the opaque last of the n; on a white
    background it is 1 - far, and no plane is opaque. Planes are infinite: rays may hit them outside of
    [near, far], and oblique rays hit them farther apart.

    Args:
        points: number of planes n, the background plane included.
        delta: constant that turns density into occupancy.
        near, far, background_z: see `Sampler`.

    Raises:
        ValueError: fewer than two planes.
    """

    kind = "planes"
    fewest_points = 2

    heights: Tensor

    def __init__(
        self, *, points: int, delta: float, near: float, far: float, background_z: float | None = -0.12
    ) -> None:
        if points < self.fewest_points:
            raise ValueError(f"points = {points}: at least 2 are needed, a first and a last plane")
        surfaces = points if background_z is None else points - 1
        super().__init__(surfaces=surfaces, delta=delta, near=near, far=far, background_z=background_z)
        back = 1.0 - far if background_z is None else background_z
        self.register_buffer("heights", torch.linspace(1.0 - near, back, points), persistent=False)

    @property
    def evenly_spaced(self) -> int:
        """Number of planes, the background plane included."""
        return self.points_per_ray

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Intersections with the planes, front to back; no gradient."""
        return self.intersect_planes(rays, self.heights)

    def inside(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """Weight of points: 1 behind the front plane, falling linearly to 0 one spacing in front of it."""
        first, second = self.heights[:2]
        return (1.0 - (points[..., 2] - first) / (first - second)).clamp(0.0, 1.0)

    def layers(self, points: Float[Tensor, "*batch 3"]) -> Int[Tensor, "*batch"]:
        """Number of planes in front of points, without the background plane."""
        return (points[..., 2:] <= self.heights[: self.surfaces]).sum(-1)
