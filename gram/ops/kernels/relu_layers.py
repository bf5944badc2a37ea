"""Device functions of a ReLU network: its layers, with float32 products on tensor cores.

x = hi + lo, two numbers of 11 bits each, and x w = lo w_hi + hi w_lo + hi w_hi leaves out lo w_lo alone,
2^-22 of the product. Weights are split once per call, activations in registers. In contrast to Triton's
"tf32x3", copies of the weights overlap with the products and take no registers.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def split(x):
    """Split x into hi and lo as `relu_field.split_in_two`."""
    hi = ((x.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return hi, x - hi


@triton.jit
@no_type_check
def product(hi, lo, w_hi, w_lo, total):
    """Add x w to a total, the smallest terms first."""
    total = tl.dot(lo, w_hi, total, input_precision="tf32")
    total = tl.dot(hi, w_lo, total, input_precision="tf32")
    return tl.dot(hi, w_hi, total, input_precision="tf32")


@triton.jit
@no_type_check
def relu(x):
    """ReLU max(x, 0); NaN stays NaN."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
@no_type_check
def first_layer(x, y, z, weight, bias, units):
    """Units of the first layer, (points, units)."""
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
    """Second layer, (points, width), by slices of the first."""
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
    """Units `some` of the last layer, (points, units), given the whole layer before."""
    units = tl.arange(0, WIDTH)
    place = some[None, :] * WIDTH + units[:, None]
    total = tl.zeros((POINTS, SLICE), tl.float32)
    total = product(h_hi, h_lo, tl.load(hi + place), tl.load(lo + place), total)
    return relu(total + tl.load(bias + some)[None, :])
