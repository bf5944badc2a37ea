"""A layer of a network that is evaluated at points, with weights of each image."""

from typing import NamedTuple

from torch import Tensor

from gram.shapes import Float


class Layer(NamedTuple):
    """x -> activation(weight x + bias) with weights of each image; the head, if any, reads the activation."""

    weight: Float[Tensor, "batch width in"]
    bias: Float[Tensor, "batch width"]
    head: Float[Tensor, "outputs width"] | None
    sees_directions: bool = False
    """Whether the input is concat[direction, features] rather than features."""
