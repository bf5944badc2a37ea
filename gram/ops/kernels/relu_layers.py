"""What the kernels of a ReLU network share: float32 products on tensor cores, and its layers.

x = hi + lo, two numbers of 11 bits each, and x w = lo w_hi + hi w_lo + hi w_hi leaves out lo w_lo alone,
2^-22 of the product. The weights are split once a call, activations in registers. Splitting here rather
than by Triton's "tf32x3" lets copies of the weights overlap with the products, and needs no registers for
them.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def split(x):
    """(hi, lo) as `split_in_two` makes them."""
    hi = ((x.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return hi, x - hi


@triton.jit
@no_type_check
def product(hi, lo, w_hi, w_lo, total):
    """total + x w, the smallest terms first."""
    total = tl.dot(lo, w_hi, total, input_precision="tf32")
    total = tl.dot(hi, w_lo, total, input_precision="tf32")
    return tl.dot(hi, w_hi, total, input_precision="tf32")


@triton.jit
@no_type_check
def relu(x):
    """max(x, 0), and NaN where x is."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
@no_type_check
def first_layer(x, y, z, weight, bias, units):
    """Some units of the first layer: (points, units)."""
    row = weight + 3 * units
    h = tl.load(bias + units)[None, :] + x[:, None] * tl.load(row)[None, :]
    h += y[:, None] * tl.load(row + 1)[None, :]
    h += z[:, None] * tl.load(row + 2)[None, :]
    return relu(h)


@triton.jit
@no_type_check
def first_two_layers(
    x, y, z, first, first_bias, hi, lo, bias, POINTS: tl.constexpr, WIDTH: tl.constexpr, SLICE: tl.constexpr
):
    """All units of the second layer: (points, width)."""
    units = tl.arange(0, WIDTH)
    total = tl.zeros((POINTS, WIDTH), tl.float32)
    for start in range(0, WIDTH, SLICE):
        inner = start + tl.arange(0, SLICE)
        h_hi, h_lo = split(first_layer(x, y, z, first, first_bias, inner))
        place = units[None, :] * WIDTH + inner[:, None]
        total = product(h_hi, h_lo, tl.load(hi + place), tl.load(lo + place), total)
    return relu(total + tl.load(bias + units)[None, :])


@triton.jit
@no_type_check
def last_layer(
    h_hi, h_lo, hi, lo, bias, some, POINTS: tl.constexpr, WIDTH: tl.constexpr, SLICE: tl.constexpr
):
    """Some units of the last layer, given all of the one before: (points, units)."""
    units = tl.arange(0, WIDTH)
    place = some[None, :] * WIDTH + units[:, None]
    total = tl.zeros((POINTS, SLICE), tl.float32)
    total = product(h_hi, h_lo, tl.load(hi + place), tl.load(lo + place), total)
    return relu(total + tl.load(bias + some)[None, :])
