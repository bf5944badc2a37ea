"""Gradients of the ReLU network of `relu_field`, from its points and outputs' gradients alone.

With g the gradient of an output and x_i the output of layer i, its weights W_i get the sum over points of
g u_i (x) x_{i-1}. The slope u_i is the derivative of the output by the layer's pre-activation: the head of
the last layer where that is active, and W_{i+1}^T u_{i+1} where x_i > 0, else 0. A chunk of points passes
through three kernels: activations, slopes, and the sums, which are matrix products of their own. Each kernel
skips blocks of points whose g are all 0.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from gram.ops.kernels.launch import INTERPRETED, launch
from gram.ops.kernels.relu_backward import activations_kernel, outer_sums_kernel, slopes_kernel
from gram.ops.kernels.relu_field import Weights, arguments, split_in_two
from gram.shapes import Float

CHUNK = 2**17
"""Points per chunk: at width 128, 9 bytes per unit make 150 MB of activations."""
PART = 1024
"""Points that one block of threads sums: short float32 sums, and work for all processors."""


class Gradients(NamedTuple):
    """Gradients of the padded weights, and of the points where requested."""

    weights: list[Tensor]  # (width, in) per layer
    biases: list[Tensor]  # (width)
    head: Float[Tensor, " width"]
    points: Float[Tensor, "n 3"] | None


class _Blocks(NamedTuple):
    points: int
    slice: int
    warps: int
    stages: int


def _blocks(width: int) -> _Blocks:
    if INTERPRETED:
        return _Blocks(32, 16, 4, 1)
    if width <= 64:
        return _Blocks(128, min(32, width), 8, 2)
    return _Blocks(128, 32, 8, 2) if width == 128 else _Blocks(64, 16, 8, 2)


def gradients(
    points: Float[Tensor, "n 3"], grad: Float[Tensor, " n"], weights: Weights, *, into_points: bool
) -> Gradients:
    """Gradients of sum(grad * values) by weights and, if requested, points; deterministic to the bit."""
    width = weights.width
    inner = [torch.zeros_like(hi) for hi, _ in weights.inner]
    biases = [torch.zeros_like(bias) for bias in weights.biases]
    of_first = torch.zeros_like(weights.first)
    grad_points = torch.zeros_like(points) if into_points else None
    backwards = _transposed(weights)
    for rows in _chunks(len(points)):
        some, g = points[rows].contiguous(), grad[rows].contiguous()
        into = None if grad_points is None else grad_points[rows]
        sums = _of_chunk(some, g, weights, backwards, inner, biases[1:], into)
        of_first += sums[:3].mT
        biases[0] += sums[3]
    # the last layer's sums lack its head's weights; their products with the layer are the head's gradient
    last_weight, last_bias = sum(weights.inner[-1][1:], weights.inner[-1][0]), weights.biases[-1]
    of_head = (inner[-1] * last_weight).sum(1) + biases[-1] * last_bias
    inner[-1] *= weights.head[:, None]
    biases[-1] *= weights.head
    assert of_first.shape == (width, 3)
    return Gradients([of_first, *inner], biases, of_head, grad_points)


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


def _transposed(weights: Weights) -> list[tuple[Tensor, Tensor]]:
    """Split the transposed weights (in, out) of the inner layers, the last times the head."""
    whole = [hi + lo for hi, lo in weights.inner]
    whole[-1] = whole[-1] * weights.head[:, None]
    return [split_in_two(w.mT.contiguous()) for w in whole]


def _of_chunk(
    points: Tensor, grad: Tensor, weights: Weights, backwards: list[tuple[Tensor, Tensor]],
    inner: list[Tensor], biases: list[Tensor], grad_points: Tensor | None,
) -> Float[Tensor, "4 width"]:  # fmt: skip
    """Add to the inner layers' sums, write the points' gradients, return the sums of the first layer."""
    count, width, blocks = len(points), weights.width, _blocks(weights.width)
    active = points.new_empty(count, width, dtype=torch.int8)
    three = weights.hidden == 3
    inputs, slopes = (points.new_empty(count, width) if three else points for _ in range(2))
    grid = (triton.cdiv(count, blocks.points),)
    sums = points.new_zeros(*grid, 4, width)  # zero for skipped blocks
    options: dict[str, Any] = {
        "HIDDEN": weights.hidden, "WIDTH": width, "POINTS": blocks.points, "SLICE": blocks.slice,
        "num_warps": blocks.warps, "num_stages": blocks.stages,
    }  # fmt: skip
    launch(
        activations_kernel, grid, points,
        points, grad, *arguments(weights), inputs, active, count, **options,
    )  # fmt: skip
    launch(
        slopes_kernel, grid, points,
        points, grad, weights.first, weights.biases[0], *backwards[0], *backwards[-1],
        inputs, active, slopes, sums, points if grad_points is None else grad_points, count,
        INTO_POINTS=grad_points is not None, **options,
    )  # fmt: skip
    _add_outer_sums(points, grad, weights, active, inputs, inner[-1], biases[-1], first=not three)
    if three:
        _add_outer_sums(points, grad, weights, slopes, inputs, inner[0], biases[0], first=True)
    return sums.sum(0)


def _add_outer_sums(
    points: Tensor, grad: Tensor, weights: Weights, slopes: Tensor, inputs: Tensor,
    total: Tensor, bias_total: Tensor, *, first: bool,
) -> None:  # fmt: skip
    width = weights.width
    tile = min(width, 128)
    parts = triton.cdiv(len(points), PART)
    sums, bias_sums = points.new_empty(parts, width, width), points.new_empty(parts, width)
    launch(
        outer_sums_kernel, (parts, width // tile, width // tile), points,
        points, grad, weights.first, weights.biases[0], slopes, inputs, sums, bias_sums, len(points),
        FIRST=first, WIDTH=width, TILE=tile, POINTS=32, PART=PART,
        num_warps=8 if tile == 128 else 4, num_stages=2,
    )  # fmt: skip
    total += sums.sum(0)
    bias_total += bias_sums.sum(0)
