"""A network that is evaluated at points, in the plainest way: the twin of every fast one."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gram.shapes import Float

CHUNK = 65_536
"""Points of one image that are evaluated again together, where activations are not kept."""

Activation = Literal["sine", "relu"]


class Layer(NamedTuple):
    """x -> activation(weight x + bias) with weights of each image; the head, if any, reads the activation."""

    weight: Float[Tensor, "batch width in"]
    bias: Float[Tensor, "batch width"]
    head: Float[Tensor, "outputs width"] | None
    sees_directions: bool = False
    """Whether the input is concat[direction, features] rather than features."""


def evaluate_plain(
    points: Float[Tensor, "batch n 3"],
    layers: Sequence[Layer],
    activation: Activation,
    *,
    directions: Float[Tensor, "batch n 3"] | None = None,
) -> Float[Tensor, "batch n outputs"]:
    """Sum over layers of head(x_i), with x_0 = points and x_i = activation(W_i x_{i-1} + b_i)."""
    function = torch.sin if activation == "sine" else torch.relu
    x, outputs = points, []
    for layer in layers:
        x = function(torch.baddbmm(layer.bias[:, None], layer_input(x, directions, layer), layer.weight.mT))
        if layer.head is not None:
            outputs.append(x @ layer.head.mT)
    return torch.stack(outputs).sum(0)


def evaluate_with_checkpoints(
    points: Float[Tensor, "batch n 3"],
    layers: Sequence[Layer],
    activation: Activation,
    *,
    directions: Float[Tensor, "batch n 3"] | None = None,
) -> Float[Tensor, "batch n outputs"]:
    """`evaluate_plain` that keeps no activations: a chunk of points at a time is evaluated again."""
    parts = []
    for start in range(0, max(1, points.shape[1]), CHUNK):
        rows = slice(start, start + CHUNK)
        part = checkpoint(
            evaluate_plain, points[:, rows], layers, activation,
            directions=None if directions is None else directions[:, rows],
            use_reentrant=False, preserve_rng_state=False,
        )  # fmt: skip
        parts.append(part)
    return torch.cat(parts, 1)


def layer_input(x: Tensor, directions: Tensor | None, layer: Layer) -> Tensor:
    """What a layer reads of points or features (..., in) and, where it sees them, directions (..., 3)."""
    return torch.cat([directions, x], dim=-1) if layer.sees_directions and directions is not None else x
