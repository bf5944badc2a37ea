"""Samples where a network of the ray wants them (NeuSample, arXiv 2111.15552)."""

from collections.abc import Mapping
from typing import Any

from gram.geometry.cameras import Rays
from gram.networks.sampling_network import RayNetwork
from gram.rendering.samplers.base import Samples
from gram.rendering.samplers.counter_rng import Noise
from gram.rendering.samplers.volume import VolumeSampler


class NeusampleSampler(VolumeSampler):
    """t = near (1 - s) + far s with s = sort(sigmoid(F(ray))), n places at once and no coarse pass.

    F has no loss of its own: gradients reach it through the positions and the distances between samples.

    Args:
        network: F; its places are the points.
        points: number n of points, that of the network.
        box: edge of the cube whose faces F sees at 1 and -1, world units.
        near, far, background_z: see `Sampler`.

    Raises:
        ValueError: the network has another number of places.
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
            raise ValueError(f"points = {points}, but the network gives {network.output.out_features}")
        super().__init__(points=points, near=near, far=far, background_z=background_z)
        self.network = network
        self.box = box

    @classmethod
    def build(cls, settings: Mapping[str, Any]) -> "NeusampleSampler":
        """One whose network has random weights and even places."""
        arguments = cls.arguments(settings)
        return cls(RayNetwork(points=arguments["points"], **settings["ray_network"]), **arguments)

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """Ascending points; gradients reach F, none reaches the rays."""
        ends = rays.origins[..., None, :] + rays.directions[..., None, :] * rays.origins.new_tensor(
            [[self.near], [self.far]]
        )
        entry, exit = (ends.detach() * (2.0 / self.box)).unbind(-2)
        return self.evenly(self.network(entry, exit))
