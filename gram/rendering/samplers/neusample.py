"""Samples at positions predicted by a network of the ray (NeuSample, arXiv 2111.15552)."""

from collections.abc import Mapping
from typing import Any

from gram.geometry.cameras import Rays
from gram.networks.sampling_network import RayNetwork
from gram.rendering.samplers.base import Samples
from gram.rendering.samplers.counter_rng import Noise
from gram.rendering.samplers.volume import VolumeSampler


class NeusampleSampler(VolumeSampler):
    """Positions t = near (1 - s) + far s with s = sort(sigmoid(F(ray))), without a coarse pass.

    F has no loss of its own: gradients reach it through the positions and the distances between samples.

    Args:
        network: F, which predicts s.
        points: number n of points, equal to that of the network.
        box: edge of the cube that is scaled to [-1, 1]^3 for F, world units.
        near, far, background_z: see `Sampler`.

    Raises:
        ValueError: the network has another number of points.
    """

    kind = "neusample"
    options = ("points", "box")
    network_settings = "ray_network"
    learns = True

    def __init__(
        self,
        network: RayNetwork,
        *,
        points: int,
        box: float,
        near: float,
        far: float,
        background_z: float | None = -0.12,
    ) -> None:
        if points != network.output.out_features:
            raise ValueError(f"points = {points}, but the network predicts {network.output.out_features}")
        super().__init__(points=points, near=near, far=far, background_z=background_z)
        self.network = network
        self.box = box

    @classmethod
    def build(cls, settings: Mapping[str, Any]) -> "NeusampleSampler":
        """Build a sampler whose network has random weights and predicts evenly spaced points."""
        arguments = cls.arguments(settings)
        return cls(RayNetwork(points=arguments["points"], **settings["ray_network"]), **arguments)

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Predict ascending points; gradients reach F, but not the rays."""
        # points where rays enter and leave the sampled interval: (batch, n, 2, 3)
        ends = rays.origins[..., None, :] + rays.directions[..., None, :] * rays.origins.new_tensor(
            [[self.near], [self.far]]
        )
        entry, exit = (ends.detach() * (2.0 / self.box)).unbind(-2)
        return self.at_fractions(self.network(entry, exit))
