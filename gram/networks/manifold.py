"""Manifold predictor M: scalar field whose isosurfaces carry the radiance (GRAM, section 3.2)."""

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gram.geometry.cameras import Rays
from gram.networks.layers import Stack
from gram.ops.backend import BackendModule
from gram.ops.mlp import Layer, evaluate
from gram.ops.relu import evaluate_along, evaluate_relu
from gram.shapes import Float

Init = Literal["published", "sphere"]
SCALE = 2.0 / 0.24
"""Factor from world units to the units of M: half the edge of its cube becomes 1."""
SPHERE_SLOPE = 10.0
"""Slope of both initialisations: s(x) = 10 |x * 2 / 0.24 - centre|, concentric spheres."""


class ManifoldPredictor(BackendModule):
    """ReLU network x -> s(x), initialised as (nearly) concentric spheres around `centre`.

    Args:
        width: units of a hidden layer.
        hidden_layers: number of hidden layers.
        centre: centre of the initial spheres, in units of x * 2 / 0.24.
        init: `published`, random hidden weights whose sphere is crumpled when the network is narrow, or
            `sphere`, evenly spread directions with |s - 10 |x_hat|| small at any width.
    """

    centre: Tensor

    def __init__(
        self,
        *,
        width: int = 128,
        hidden_layers: int = 3,
        centre: tuple[float, float, float] = (0.0, 0.0, -1.5),
        init: Init = "published",
    ) -> None:
        super().__init__()
        sizes = [3] + [width] * hidden_layers
        self.hidden = Stack(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.output = nn.Linear(width, 1)
        self.register_buffer("centre", torch.tensor(centre, dtype=torch.float32))
        with torch.no_grad():
            self._init_published()
            if init == "sphere":
                self._init_sphere()

    def forward(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """Evaluate s at points in world units."""
        x = (points * SCALE - self.centre).view(1, -1, 3)
        values = evaluate(x, self._layers(), "relu", backend=self.backend) + self.output.bias
        return values.view(points.shape[:-1])

    @torch.no_grad()
    def along(self, rays: Rays, t: Float[Tensor, " k"]) -> Float[Tensor, "*rays k"]:
        """Evaluate s at the same distances along every ray, without gradient."""
        layers, backend = self._layers(), self.backend
        values = evaluate_along(rays, t, layers, scale=SCALE, centre=self.centre, backend=backend)
        if values is None:
            return self(rays.at(t.expand(*rays.origins.shape[:-1], len(t))))
        return values + self.output.bias

    def with_gradient(
        self, points: Float[Tensor, "*batch 3"], values: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Attach the gradient of s by M's weights to `values`, s at the points as evaluated before."""
        x = (points * SCALE - self.centre).view(1, -1, 3)
        attached = evaluate_relu(x, self._layers(), known=values.reshape(1, -1, 1), backend=self.backend)
        return attached.view(values.shape) + (self.output.bias - self.output.bias.detach())

    def _layers(self) -> list[Layer]:
        *inner, last = self.hidden
        layers = [Layer(linear.weight[None], linear.bias[None], None) for linear in inner]
        return [*layers, Layer(last.weight[None], last.bias[None], self.output.weight)]

    def _init_published(self) -> None:
        """Geometric initialisation (SAL, arXiv 1911.10414)."""
        for linear in self.hidden:
            nn.init.normal_(linear.weight, 0.0, math.sqrt(2.0 / linear.out_features))
            nn.init.zeros_(linear.bias)
        nn.init.constant_(self.output.weight, SPHERE_SLOPE * math.sqrt(math.pi / self.output.in_features))
        nn.init.zeros_(self.output.bias)

    def _init_sphere(self) -> None:
        """Set weights that make s a multiple of |x|: |x| / 4 is the mean of relu(d . x) over even unit d."""
        first, *rest = self.hidden
        first.weight.copy_(_fibonacci_directions(first.out_features))
        for linear in rest:
            nn.init.eye_(linear.weight)
        nn.init.constant_(self.output.weight, 4.0 * SPHERE_SLOPE / self.output.in_features)


def _fibonacci_directions(count: int) -> Float[Tensor, "count 3"]:
    """Evenly spread unit vectors (the golden spiral)."""
    # heights of equal areas, and angles a golden turn apart
    i = torch.arange(count, dtype=torch.float64) + 0.5
    height = 1.0 - 2.0 * i / count
    radius = torch.sqrt(1.0 - height**2)
    angle = i * math.pi * (3.0 - math.sqrt(5.0))
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], dim=-1).float()
