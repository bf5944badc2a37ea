"""Layers of the radiance generator: FiLM-modulated sines and the mapping network (pi-GAN, section 3.1)."""

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
    """Modulation of every FiLM layer by a latent, before scale and offset."""

    frequencies: Float[Tensor, "batch layers width"]  # gamma_hat
    phase_shifts: Float[Tensor, "batch layers width"]  # beta

    def rows(self, *index: int | slice | Tensor) -> "Film":
        """That of some of the images."""
        return Film(self.frequencies[index], self.phase_shifts[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> "Film":
        """The same function of both tensors."""
        return Film(function(self.frequencies), function(self.phase_shifts))

    def lerp(self, other: "Film", weight: float) -> "Film":
        """Linear interpolation from self (weight 0) to `other` (weight 1)."""
        return Film(
            torch.lerp(self.frequencies, other.frequencies, weight),
            torch.lerp(self.phase_shifts, other.phase_shifts, weight),
        )


class Stack(nn.ModuleList, Generic[Block]):
    """A list of modules of one type."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        super().__init__(blocks)

    def __iter__(self) -> Iterator[Block]:
        return cast(Iterator[Block], super().__iter__())


class MappingNetwork(nn.Module):
    """z -> FiLM parameters of all layers: LeakyReLU hidden layers, then one linear layer."""

    def __init__(
        self, *, z_dim: int, width: int, hidden_layers: int, film_layers: int, film_width: int
    ) -> None:
        super().__init__()
        sizes = [z_dim] + [width] * hidden_layers
        self.hidden = Stack(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], 2 * film_layers * film_width)
        self.film_shape = (film_layers, film_width)
        for linear in (*self.hidden, self.output):
            nn.init.kaiming_normal_(linear.weight, a=LEAKY_SLOPE, mode="fan_in", nonlinearity="leaky_relu")
        with torch.no_grad():
            self.output.weight.mul_(0.25)

    def forward(self, z: Float[Tensor, "batch z_dim"]) -> Film:
        """FiLM parameters for each latent."""
        x = z
        for linear in self.hidden:
            x = leaky_relu(linear(x), LEAKY_SLOPE)
        frequencies, phase_shifts = self.output(x).view(-1, 2, *self.film_shape).unbind(1)
        return Film(frequencies, phase_shifts)


class FilmSine(nn.Linear):
    """x -> sin(gamma . (W x + b) + beta), evaluated as one matrix product with gamma folded into W and b:
    (diag(gamma) W) x + (gamma . b + beta)."""

    def __init__(self, in_features: int, out_features: int, *, first: bool = False) -> None:
        super().__init__(in_features, out_features)
        bound = 1.0 / in_features if first else math.sqrt(6.0 / in_features) / 25.0
        nn.init.uniform_(self.weight, -bound, bound)

    def fold(
        self, gamma: Float[Tensor, "batch out"], beta: Float[Tensor, "batch out"]
    ) -> tuple[Float[Tensor, "batch out in"], Float[Tensor, "batch out"]]:
        """Weight and bias of each image with the modulation inside."""
        return gamma[:, :, None] * self.weight, torch.addcmul(beta, gamma, self.bias)


def sine_head(in_features: int, out_features: int) -> nn.Linear:
    """A linear output of a sine layer."""
    head = nn.Linear(in_features, out_features)
    bound = math.sqrt(6.0 / in_features) / 25.0
    nn.init.uniform_(head.weight, -bound, bound)
    return head
