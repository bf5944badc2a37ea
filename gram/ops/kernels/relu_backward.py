"""Kernels of the backward pass of a ReLU network; see `gram.ops.kernels.relu_gradient`.

Every kernel skips blocks of points whose gradients are all 0.
"""

from typing import no_type_check

import triton
import triton.language as tl

from gram.ops.kernels.relu_layers import first_layer, first_two_layers, last_layer, product, split


@triton.jit
@no_type_check
def _no_gradient(grad, p, count):
    g = tl.load(grad + p, mask=p < count, other=0.0)
    return tl.sum((g != 0.0).to(tl.int32), axis=0) == 0  # NaN counts as a gradient


@triton.jit
@no_type_check
def activations_kernel(
    points, grad, first, first_bias, middle_hi, middle_lo, middle_bias, last_hi, last_lo, last_bias,
    inputs, active, count,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, POINTS: tl.constexpr, SLICE: tl.constexpr,
):  # fmt: skip
    """Store which units of the last layer are active, and, of three layers, the output of the second."""
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
    """Store slopes and sums from the last layer down to the points.

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
    """Sum g u (x) input, the first layer's if FIRST, and g u over a part of the points."""
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
