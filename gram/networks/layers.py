"""FiLM-modulated sine layers and the mapping network (pi-GAN, section 3.1)."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gram.shapes import Float

LEAKY_SLOPE = 0.2

Block = TypeVar("Block", bound=nn.Module)


class Film(NamedTuple):
    """FiLM parameters of every layer, before scale and offset."""

    frequencies: Float[Tensor, "batch layers width"]  # gamma_hat
    phase_shifts: Float[Tensor, "batch layers width"]  # beta

    def rows(self, *index: int | slice | Tensor) -> "Film":
        """Select images by indices of the batch axis."""
        return Film(self.frequencies[index], self.phase_shifts[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> "Film":
        """Apply a function to both tensors."""
        return Film(function(self.frequencies), function(self.phase_shifts))

    def lerp(self, other: "Film", weight: float) -> "Film":
        """Linear interpolation from self (weight 0) to `other` (weight 1)."""
        return Film(
            torch.lerp(self.frequencies, other.frequencies, weight),
            torch.lerp(self.phase_shifts, other.phase_shifts, weight),
        )


class Stack(nn.ModuleList, Generic[Block]):
    """Typed `ModuleList`."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        super().__init__(blocks)

    def __iter__(self) -> Iterator[Block]:
        return cast(Iterator[Block], super().__iter__())


class MappingNetwork(nn.Module):
    """MLP from z to the FiLM parameters of all layers: LeakyReLU hidden layers, then one linear layer."""

    def __init__(
        self, *, z_dim: int, width: int, hidden_layers: int, film_layers: int, film_width: int
    ) -> None:
        super().__init__()
        sizes = [z_dim] + [width] * hidden_layers
        self.hidden = Stack(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], 2 * film_layers * film_width)
        self.film_shape = (film_layers, film_width)
        # initialisation of pi-GAN: small FiLM parameters
        for linear in (*self.hidden, self.output):
            nn.init.kaiming_normal_(linear.weight, a=LEAKY_SLOPE, mode="fan_in", nonlinearity="leaky_relu")
        with torch.no_grad():
            self.output.weight.mul_(0.25)

    def forward(self, z: Float[Tensor, "batch z_dim"]) -> Film:
        """Compute the FiLM parameters of each latent."""
        x = z
        for linear in self.hidden:
            x = leaky_relu(linear(x), LEAKY_SLOPE)
        # (batch, 2, layers, width): gamma_hat, beta
        frequencies, phase_shifts = self.output(x).view(-1, 2, *self.film_shape).unbind(1)
        return Film(frequencies, phase_shifts)


class FilmSine(nn.Linear):
    """Sine layer sin(gamma . (W x + b) + beta), with gamma folded into W and b for one matrix product:
    (diag(gamma) W) x + (gamma . b + beta)."""

    def __init__(self, in_features: int, out_features: int, *, first: bool = False) -> None:
        super().__init__(in_features, out_features)
        # initialisation of SIREN, scaled as in pi-GAN
        bound = 1.0 / in_features if first else math.sqrt(6.0 / in_features) / 25.0
        nn.init.uniform_(self.weight, -bound, bound)

    def fold(
        self, gamma: Float[Tensor, "batch out"], beta: Float[Tensor, "batch out"]
    ) -> tuple[Float[Tensor, "batch out in"], Float[Tensor, "batch out"]]:
        """Fold the modulation of each image into weight and bias."""
        return gamma[:, :, None] * self.weight, torch.addcmul(beta, gamma, self.bias)


def sine_head(in_features: int, out_features: int) -> nn.Linear:
    """Build a linear output layer for sine features."""
    head = nn.Linear(in_features, out_features)
    bound = math.sqrt(6.0 / in_features) / 25.0
    nn.init.uniform_(head.weight, -bound, bound)
    return head
