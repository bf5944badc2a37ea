"""Point networks in plain torch: the reference that every faster evaluation is tested against."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gram.shapes import Float

CHUNK = 65_536
"""Points of one image per recomputation, where activations are not kept."""

Activation = Literal["sine", "relu"]


class Layer(NamedTuple):
    """Layer activation(weight x + bias) with weights per image; its head, if any, reads the activation."""

    weight: Float[Tensor, "batch width in"]
    bias: Float[Tensor, "batch width"]
    head: Float[Tensor, "outputs width"] | None
    sees_directions: bool = False
    """True if the input is concat[direction, features] rather than features."""


def flatten(layers: Sequence[Layer]) -> tuple[list[Tensor | None], tuple[bool, ...]]:
    """Weight, bias and head of every layer, and its `sees_directions`: arguments of autograd functions."""
    return [t for layer in layers for t in layer[:3]], tuple(layer.sees_directions for layer in layers)


def unflatten(weights: Sequence[Any], sees: Sequence[bool]) -> list[Layer]:
    """Layers of `flatten`'s results, or of as many gradients."""
    return [Layer(*weights[3 * i : 3 * i + 3], sees_directions=s) for i, s in enumerate(sees)]


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
    """Evaluate as `evaluate_plain`, keeping no activations: the backward pass recomputes chunk by chunk."""
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
    """Input of a layer: points or features (..., in), after directions (..., 3) where it sees them."""
    return torch.cat([directions, x], dim=-1) if layer.sees_directions and directions is not None else x
