"""Gradients of the ReLU network of `gram.kernels.relu_field`, from its points and outputs' gradients alone.

With g the gradient of an output and x_i the output of layer i, its weights W_i get the sum over points of
g u_i (x) x_{i-1}. The slope u_i is the derivative of the output by the layer's pre-activation: the head of
the last layer where that is active, and W_{i+1}^T u_{i+1} where x_i > 0, else 0. Some points at a time pass
through three kernels: activations, slopes, and the sums, which are matrix products of their own. Blocks of
points whose g are all 0 are skipped in each of them.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram.kernels.launch import INTERPRETED, launch
from gram.kernels.relu_field import (
    Weights,
    arguments,
    first_layer,
    first_two_layers,
    last_layer,
    product,
    split,
    split_in_two,
)
from gram.shapes import Float

CHUNK = 2**17
"""Points whose activations are in memory together: at width 128, 9 bytes a unit make 150 MB."""
PART = 1024
"""Points that one block of threads sums up: float32 sums stay short, and all processors have work."""


class Gradients(NamedTuple):
    """By the padded weights; `points` where they are wanted."""

    weights: list[Tensor]  # (width, in), of each layer
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


@triton.jit
@no_type_check
def _no_gradient(grad, p, count):
    g = tl.load(grad + p, mask=p < count, other=0.0)
    return tl.sum((g != 0.0).to(tl.int32), axis=0) == 0  # NaN is a gradient, too


@triton.jit
@no_type_check
def activations_kernel(
    points, grad, first, first_bias, middle_hi, middle_lo, middle_bias, last_hi, last_lo, last_bias,
    inputs, active, count,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, POINTS: tl.constexpr, SLICE: tl.constexpr,
):  # fmt: skip
    """Which units of the last layer are active, and, of three layers, the output of the second."""
    p = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    if _no_gradient(grad, p, count):
        return
    inside = p < count
    x = tl.load(points + 3 * p, mask=inside, other=0.0)
    y = tl.load(points + 3 * p + 1, mask=inside, other=0.0)
    z = tl.load(points + 3 * p + 2, mask=inside, other=0.0)
    units = tl.arange(0, WIDTH)
    if HIDDEN == 2:
        h = first_layer(x, y, z, first, first_bias, units)
    else:
        h = first_two_layers(
            x, y, z, first, first_bias, middle_hi, middle_lo, middle_bias, POINTS, WIDTH, SLICE
        )
        tl.store(inputs + p[:, None] * WIDTH + units[None, :], h, mask=inside[:, None])
    h_hi, h_lo = split(h)
    for start in range(0, WIDTH, SLICE):
        some = start + tl.arange(0, SLICE)
        last = last_layer(h_hi, h_lo, last_hi, last_lo, last_bias, some, POINTS, WIDTH, SLICE)
        place = active + p[:, None] * WIDTH + some[None, :]
        tl.store(place, (last > 0.0).to(tl.int8), mask=inside[:, None])


@triton.jit
@no_type_check
def slopes_kernel(
    points, grad, first, first_bias, middle_hi, middle_lo, last_hi, last_lo,
    inputs, active, slopes, sums, grad_points, count,
    HIDDEN: tl.constexpr, INTO_POINTS: tl.constexpr,
    WIDTH: tl.constexpr, POINTS: tl.constexpr, SLICE: tl.constexpr,
):  # fmt: skip
    """From the last layer down to the points.

    Matrices are transposed, (in, out), the last one times the head. `slopes` gets u of the second of three
    layers, and `sums` those of g u x, g u y, g u z and g u of the first layer, over the points of a block.
    """
    p = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    if _no_gradient(grad, p, count):
        return
    inside = p < count
    units = tl.arange(0, WIDTH)
    whole = p[:, None] * WIDTH + units[None, :]
    if HIDDEN == 2:
        u = tl.load(active + whole, mask=inside[:, None], other=0).to(tl.float32)
    else:
        u = tl.zeros((POINTS, WIDTH), tl.float32)
        for start in range(0, WIDTH, SLICE):
            inner = start + tl.arange(0, SLICE)
            place = active + p[:, None] * WIDTH + inner[None, :]
            on = tl.load(place, mask=inside[:, None], other=0).to(tl.float32)  # 0 or 1, without a low part
            place = units[None, :] * WIDTH + inner[:, None]
            u = tl.dot(on, tl.load(last_lo + place), u, input_precision="tf32")
            u = tl.dot(on, tl.load(last_hi + place), u, input_precision="tf32")
        u = tl.where(tl.load(inputs + whole, mask=inside[:, None], other=0.0) > 0.0, u, 0.0)
        tl.store(slopes + whole, u, mask=inside[:, None])
    u_hi, u_lo = split(u)
    g = tl.load(grad + p, mask=inside, other=0.0)
    x = tl.load(points + 3 * p, mask=inside, other=0.0)
    y = tl.load(points + 3 * p + 1, mask=inside, other=0.0)
    z = tl.load(points + 3 * p + 2, mask=inside, other=0.0)
    sums += tl.program_id(0) * 4 * WIDTH
    by_x = tl.zeros((POINTS,), tl.float32)
    by_y = tl.zeros((POINTS,), tl.float32)
    by_z = tl.zeros((POINTS,), tl.float32)
    for start in range(0, WIDTH, SLICE):
        some = start + tl.arange(0, SLICE)
        place = some[None, :] * WIDTH + units[:, None]
        v = tl.zeros((POINTS, SLICE), tl.float32)
        v = product(u_hi, u_lo, tl.load(middle_hi + place), tl.load(middle_lo + place), v)
        v = tl.where(first_layer(x, y, z, first, first_bias, some) > 0.0, v, 0.0) * g[:, None]
        tl.store(sums + some, tl.sum(v * x[:, None], axis=0))
        tl.store(sums + WIDTH + some, tl.sum(v * y[:, None], axis=0))
        tl.store(sums + 2 * WIDTH + some, tl.sum(v * z[:, None], axis=0))
        tl.store(sums + 3 * WIDTH + some, tl.sum(v, axis=0))
        if INTO_POINTS:
            row = first + 3 * some
            by_x += tl.sum(v * tl.load(row)[None, :], axis=1)
            by_y += tl.sum(v * tl.load(row + 1)[None, :], axis=1)
            by_z += tl.sum(v * tl.load(row + 2)[None, :], axis=1)
    if INTO_POINTS:
        tl.store(grad_points + 3 * p, by_x, mask=inside)
        tl.store(grad_points + 3 * p + 1, by_y, mask=inside)
        tl.store(grad_points + 3 * p + 2, by_z, mask=inside)


@triton.jit
@no_type_check
def outer_sums_kernel(
    points, grad, first, first_bias, slopes, inputs, sums, bias_sums, count,
    FIRST: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, POINTS: tl.constexpr, PART: tl.constexpr,
):  # fmt: skip
    """Sums over a part of the points of g u (x) input, the first layer if FIRST, and of g u."""
    rows = tl.program_id(1) * TILE + tl.arange(0, TILE)
    columns = tl.program_id(2) * TILE + tl.arange(0, TILE)
    total = tl.zeros((TILE, TILE), tl.float32)
    bias_total = tl.zeros((TILE,), tl.float32)
    for start in range(0, PART, POINTS):
        p = tl.program_id(0) * PART + start + tl.arange(0, POINTS)
        inside = p < count
        if _no_gradient(grad, p, count) == 0:
            g = tl.load(grad + p, mask=inside, other=0.0)
            place = slopes + p[None, :] * WIDTH + rows[:, None]
            u = tl.load(place, mask=inside[None, :], other=0).to(tl.float32) * g[None, :]
            if FIRST:
                x = tl.load(points + 3 * p, mask=inside, other=0.0)
                y = tl.load(points + 3 * p + 1, mask=inside, other=0.0)
                z = tl.load(points + 3 * p + 2, mask=inside, other=0.0)
                h = first_layer(x, y, z, first, first_bias, columns)
            else:
                h = tl.load(inputs + p[:, None] * WIDTH + columns[None, :], mask=inside[:, None], other=0.0)
            u_hi, u_lo = split(u)
            h_hi, h_lo = split(h)
            total = product(u_hi, u_lo, h_hi, h_lo, total)
            bias_total += tl.sum(u, axis=1)
    part = tl.program_id(0) * WIDTH + rows
    tl.store(sums + part[:, None] * WIDTH + columns[None, :], total)
    tl.store(bias_sums + part, bias_total)  # every column of tiles writes the same


def gradients(
    points: Float[Tensor, "n 3"], grad: Float[Tensor, " n"], weights: Weights, *, into_points: bool
) -> Gradients:
    """Of sum(grad * values) by the weights, and by the points if asked; the same every time, to the bit."""
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
    # The last layer's sums lack its head's weights; with them they make the head's own gradient.
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
    """(hi, lo) of the inner layers' weights for the way back: (in, out), the last times the head."""
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
    sums = points.new_zeros(*grid, 4, width)  # blocks that are skipped leave theirs
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
