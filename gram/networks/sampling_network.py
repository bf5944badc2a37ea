"""Sampling network F: predicts sample positions from a ray (NeuSample, arXiv 2111.15552)."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gram.networks.layers import Stack
from gram.shapes import Float


class RayNetwork(nn.Module):
    """ReLU network (entry, exit) -> n ascending fractions in (0, 1), evenly spaced at initialisation.

    Rays are parametrised by the points where they enter and leave the sampled interval rather than by origin
    and direction, since the origins of cameras on a sphere hardly vary.

    Args:
        points: number n of fractions.
        width: width of the hidden layers.
        layers: number of hidden layers, with a skip connection from the input half-way.
        frequencies: number of octaves 2^k pi of the positional encoding of every coordinate.
    """

    def __init__(self, *, points: int, width: int = 256, layers: int = 8, frequencies: int = 10) -> None:
        super().__init__()
        self.frequencies = frequencies
        inputs = 6 * (1 + 2 * frequencies)
        self.skip = layers // 2
        sizes = [inputs] + [width] * layers
        self.hidden = Stack(
            nn.Linear(i + (inputs if k and k == self.skip else 0), o)
            for k, (i, o) in enumerate(pairwise(sizes))
        )
        self.output = nn.Linear(width, points)
        # evenly spaced fractions at initialisation
        with torch.no_grad():
            for linear in self.hidden:
                nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
                nn.init.zeros_(linear.bias)
            nn.init.zeros_(self.output.weight)  # the same fractions for every ray
            self.output.bias.copy_(torch.logit((torch.arange(points) + 0.5) / points))

    def forward(
        self, entry: Float[Tensor, "*rays 3"], exit: Float[Tensor, "*rays 3"]
    ) -> Float[Tensor, "*rays points"]:
        """Predict fractions on rays between entry and exit points with coordinates in about [-1, 1]."""
        # positional encoding: (*rays, 6 * (1 + 2 * frequencies))
        ends = torch.cat([entry, exit], -1)
        octaves = 2.0 ** torch.arange(self.frequencies, device=ends.device, dtype=ends.dtype) * math.pi
        angles = (ends[..., None] * octaves).flatten(-2)
        encoded = torch.cat([ends, angles.sin(), angles.cos()], -1)
        # hidden layers, with the encoding again half-way
        x = encoded
        for k, linear in enumerate(self.hidden):
            x = relu(linear(torch.cat([x, encoded], -1) if k and k == self.skip else x))
        return torch.sigmoid(self.output(x)).sort(-1).values
