"""The sampling network F: a ray to positions on it (NeuSample, arXiv 2111.15552)."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gram.networks.layers import Stack
from gram.shapes import Float


class RayNetwork(nn.Module):
    """ReLU network (entry, exit) -> n places in (0, 1), ascending and even at initialisation.

    A ray is given by two points, where it enters and leaves the space that is looked at: for cameras on a
    sphere that is a better chart than origin and direction, of which the first hardly varies.

    Args:
        points: number n of places.
        width: of the hidden layers.
        layers: number of hidden layers; the one after the first half sees the input again.
        frequencies: sine and cosine of 2^k pi times every coordinate are given, too, for k below this.
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
        with torch.no_grad():
            for linear in self.hidden:
                nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
                nn.init.zeros_(linear.bias)
            nn.init.zeros_(self.output.weight)  # every ray starts with the same, even places
            self.output.bias.copy_(torch.logit((torch.arange(points) + 0.5) / points))

    def forward(
        self, entry: Float[Tensor, "*rays 3"], exit: Float[Tensor, "*rays 3"]
    ) -> Float[Tensor, "*rays points"]:
        """Places on rays that enter and leave at the given points, whose coordinates lie in about [-1, 1]."""
        ends = torch.cat([entry, exit], -1)
        turns = 2.0 ** torch.arange(self.frequencies, device=ends.device, dtype=ends.dtype) * math.pi
        angles = (ends[..., None] * turns).flatten(-2)
        given = torch.cat([ends, angles.sin(), angles.cos()], -1)
        x = given
        for k, linear in enumerate(self.hidden):
            x = relu(linear(torch.cat([x, given], -1) if k and k == self.skip else x))
        return torch.sigmoid(self.output(x)).sort(-1).values
