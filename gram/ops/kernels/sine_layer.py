"""Triton kernels of a sine layer, forward and backward; see `gram.ops.half_layers`.

A block of points passes a layer in one kernel: sines are evaluated where phases enter a matrix product, and
never stored. Blocks of points without a hit return at once.
"""

from typing import no_type_check

import triton
import triton.language as tl

from gram.ops.kernels.blocks import (
    HEADS,
    PRODUCTS,
    RADIANS_OF_A_TURN,
    UNITS_OF_A_TURN,
    cosine,
    fitting,
    nothing_hit,
    sine,
)


@triton.autotune(
    PRODUCTS,
    key=["WIDTH", "INNER", "OUTPUTS"],
    restore_value=["out"],
    prune_configs_by={"early_config_prune": fitting},
    cache_results=True,
)
@triton.jit(do_not_specialize=["n"])
@no_type_check
def forward_kernel(
    phases,
    weight,
    head,
    coordinates,
    slope,
    bias,
    hit,
    result,
    out,
    n,
    phases_stride,
    coordinates_stride,
    hit_stride,
    result_stride,
    out_stride,
    INNER: tl.constexpr,
    WIDTH: tl.constexpr,
    OUTPUTS: tl.constexpr,
    FAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Store result = phase of (weight sine(phases) + slope coordinates + bias); out += head sine(phases)."""
    image = tl.program_id(1).to(tl.int64)
    across: tl.constexpr = (WIDTH + BLOCK_N - 1) // BLOCK_N
    column_block = tl.program_id(0) % across
    rows = (tl.program_id(0) // across) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = column_block * BLOCK_N + tl.arange(0, BLOCK_N)
    inside, used = rows < n, columns < WIDTH
    if hit is not None:
        if nothing_hit(hit + image * hit_stride, rows, n):
            return
    turns = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    if phases is not None:
        outputs = tl.arange(0, HEADS)
        read = tl.zeros((BLOCK_M, HEADS), tl.float32)
        for start in range(0, INNER, BLOCK_K):
            inner = start + tl.arange(0, BLOCK_K)
            within = inner < INNER
            p = tl.load(
                phases + image * phases_stride + rows[:, None] * INNER + inner[None, :],
                mask=inside[:, None] & within[None, :], other=0,
            )  # fmt: skip
            x = sine(p, FAST).to(weight.dtype.element_ty)
            w = tl.load(
                weight + image * (WIDTH * INNER) + columns[None, :] * INNER + inner[:, None],
                mask=used[None, :] & within[:, None], other=0.0,
            )  # fmt: skip
            turns = tl.dot(x, w, turns)
            if head is not None:
                h = tl.load(
                    head + outputs[None, :] * INNER + inner[:, None],
                    mask=(outputs < OUTPUTS)[None, :] & within[:, None], other=0.0,
                )  # fmt: skip
                read = tl.dot(x, h, read)
        if head is not None:
            place = out + image * out_stride + rows[:, None] * OUTPUTS + outputs[None, :]
            mine = inside[:, None] & (outputs < OUTPUTS)[None, :] & (column_block == 0)
            tl.store(place, tl.load(place, mask=mine, other=0.0) + read, mask=mine)
    turns += tl.load(bias + image * WIDTH + columns, mask=used, other=0.0)[None, :]
    if coordinates is not None:
        for j in tl.static_range(3):
            c = tl.load(coordinates + image * coordinates_stride + rows * 3 + j, mask=inside, other=0.0)
            s = tl.load(slope + (image * WIDTH + columns) * 3 + j, mask=used, other=0.0)
            turns += c[:, None] * s[None, :]
    turns -= tl.floor(turns)
    units = (turns * UNITS_OF_A_TURN + 0.5).to(tl.int32).to(tl.int16)  # half a turn is minus half a turn
    place = result + image * result_stride + rows[:, None] * WIDTH + columns[None, :]
    tl.store(place, units, mask=inside[:, None] & used[None, :])


@triton.jit(do_not_specialize=["n"])
@no_type_check
def head_kernel(
    phases,
    head,
    hit,
    out,
    n,
    phases_stride,
    hit_stride,
    out_stride,
    INNER: tl.constexpr,
    OUTPUTS: tl.constexpr,
    FAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Add head sine(phases) to out."""
    image = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    outputs = tl.arange(0, HEADS)
    inside, used = rows < n, outputs < OUTPUTS
    if hit is not None:
        if nothing_hit(hit + image * hit_stride, rows, n):
            return
    read = tl.zeros((BLOCK_M, HEADS), tl.float32)
    for start in range(0, INNER, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        within = inner < INNER
        p = tl.load(
            phases + image * phases_stride + rows[:, None] * INNER + inner[None, :],
            mask=inside[:, None] & within[None, :], other=0,
        )  # fmt: skip
        h = tl.load(
            head + outputs[None, :] * INNER + inner[:, None],
            mask=used[None, :] & within[:, None], other=0.0,
        )  # fmt: skip
        read = tl.dot(sine(p, FAST).to(head.dtype.element_ty), h, read)
    place = out + image * out_stride + rows[:, None] * OUTPUTS + outputs[None, :]
    mine = inside[:, None] & used[None, :]
    tl.store(place, tl.load(place, mask=mine, other=0.0) + read, mask=mine)


@triton.autotune(
    PRODUCTS,
    key=["WIDTH", "INNER", "OUTPUTS"],
    reset_to_zero=["sums"],
    prune_configs_by={"early_config_prune": fitting},
    cache_results=True,
)
@triton.jit(do_not_specialize=["n"])
@no_type_check
def backward_kernel(
    phases,
    grad_next,
    weight,
    grad_out,
    head,
    coordinates,
    hit,
    grad,
    sums,
    n,
    phases_stride,
    grad_next_stride,
    grad_out_stride,
    coordinates_stride,
    hit_stride,
    grad_stride,
    sums_stride,
    LIMIT: tl.constexpr,
    INNER: tl.constexpr,
    WIDTH: tl.constexpr,
    OUTPUTS: tl.constexpr,
    FAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Store grad = (grad_next weight + grad_out head) 2 pi cosine(phases), and its sums by blocks of points.

    Row 0 of `sums` is plain, rows 1 to 3 are weighted by the coordinates.
    """
    image = tl.program_id(1).to(tl.int64)
    across: tl.constexpr = (WIDTH + BLOCK_N - 1) // BLOCK_N
    block = tl.program_id(0) // across
    rows = block * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = (tl.program_id(0) % across) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside, used = rows < n, columns < WIDTH
    if hit is not None:
        if nothing_hit(hit + image * hit_stride, rows, n):
            return
    x = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    if head is not None:
        outputs = tl.arange(0, HEADS)
        g = tl.load(
            grad_out + image * grad_out_stride + rows[:, None] * OUTPUTS + outputs[None, :],
            mask=inside[:, None] & (outputs < OUTPUTS)[None, :], other=0.0,
        )  # fmt: skip
        h = tl.load(
            head + outputs[:, None] * WIDTH + columns[None, :],
            mask=(outputs < OUTPUTS)[:, None] & used[None, :], other=0.0,
        )  # fmt: skip
        x = tl.dot(g, h, x)
    if grad_next is not None:
        for start in range(0, INNER, BLOCK_K):
            inner = start + tl.arange(0, BLOCK_K)
            within = inner < INNER
            d = tl.load(
                grad_next + image * grad_next_stride + rows[:, None] * INNER + inner[None, :],
                mask=inside[:, None] & within[None, :], other=0.0,
            )  # fmt: skip
            w = tl.load(
                weight + image * (INNER * WIDTH) + inner[:, None] * WIDTH + columns[None, :],
                mask=within[:, None] & used[None, :], other=0.0,
            )  # fmt: skip
            x = tl.dot(d, w, x)
    mask = inside[:, None] & used[None, :]
    p = tl.load(phases + image * phases_stride + rows[:, None] * WIDTH + columns[None, :], mask=mask, other=0)
    x = x * (cosine(p, FAST) * RADIANS_OF_A_TURN)
    place = sums + image * sums_stride + columns
    if coordinates is None:
        tl.store(place + block * WIDTH, tl.sum(x, axis=0), mask=used)
    else:
        tl.store(place + block * 4 * WIDTH, tl.sum(x, axis=0), mask=used)
        for j in tl.static_range(3):
            c = tl.load(coordinates + image * coordinates_stride + rows * 3 + j, mask=inside, other=0.0)
            tl.store(place + (block * 4 + 1 + j) * WIDTH, tl.sum(x * c[:, None], axis=0), mask=used)
    x = tl.minimum(tl.maximum(x, -LIMIT), LIMIT)
    place = grad + image * grad_stride + rows[:, None] * WIDTH + columns[None, :]
    tl.store(place, x.to(grad.dtype.element_ty), mask=mask)
