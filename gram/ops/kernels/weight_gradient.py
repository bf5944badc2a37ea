"""Triton kernel of the gradients of the weights that multiply a layer's sines: sums over all points."""

from typing import no_type_check

import triton
import triton.language as tl

from gram.ops.kernels.blocks import GRADIENTS, HEADS, fitting, sine


@triton.autotune(
    GRADIENTS,
    key=["WIDTH", "INNER", "OUTPUTS"],
    prune_configs_by={"early_config_prune": fitting},
    cache_results=True,
)
@triton.jit(do_not_specialize=["n"])
@no_type_check
def weight_gradient_kernel(
    phases,
    grad,
    grad_out,
    blocks,
    counts,
    weight_parts,
    head_parts,
    n,
    phases_stride,
    grad_stride,
    grad_out_stride,
    INNER: tl.constexpr,
    WIDTH: tl.constexpr,
    OUTPUTS: tl.constexpr,
    FAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Store weight_parts = grad sine(phases) and head_parts = grad_out sine(phases), summed over a part.

    Both are transposed: rows are the columns of the phases.
    """
    image = tl.program_id(2).to(tl.int64)
    part = tl.program_id(1)
    across: tl.constexpr = (WIDTH + BLOCK_N - 1) // BLOCK_N
    inner = (tl.program_id(0) // across) * BLOCK_K + tl.arange(0, BLOCK_K)
    column_block = tl.program_id(0) % across
    columns = column_block * BLOCK_N + tl.arange(0, BLOCK_N)
    outputs = tl.arange(0, HEADS)
    within, used = inner < INNER, columns < WIDTH
    count = tl.cdiv(n, BLOCK_M)
    if counts is not None:
        count = tl.load(counts + image)
    first = (count * part) // tl.num_programs(1)
    last = (count * (part + 1)) // tl.num_programs(1)
    HALF: tl.constexpr = (grad_out if grad is None else grad).dtype.element_ty
    total = tl.zeros((BLOCK_K, BLOCK_N), tl.float32)
    read = tl.zeros((BLOCK_K, HEADS), tl.float32)
    for i in range(first, last):
        block = i
        if blocks is not None:
            block = tl.load(blocks + image * tl.cdiv(n, BLOCK_M) + i)
        rows = block * BLOCK_M + tl.arange(0, BLOCK_M)
        inside = rows < n
        p = tl.load(
            phases + image * phases_stride + rows[:, None] * INNER + inner[None, :],
            mask=inside[:, None] & within[None, :], other=0,
        )  # fmt: skip
        x = tl.trans(sine(p, FAST).to(HALF))
        if grad is not None:
            d = tl.load(
                grad + image * grad_stride + rows[:, None] * WIDTH + columns[None, :],
                mask=inside[:, None] & used[None, :], other=0.0,
            )  # fmt: skip
            total = tl.dot(x, d, total)
        if grad_out is not None:
            g = tl.load(
                grad_out + image * grad_out_stride + rows[:, None] * OUTPUTS + outputs[None, :],
                mask=inside[:, None] & (outputs < OUTPUTS)[None, :], other=0.0,
            )  # fmt: skip
            read = tl.dot(x, g, read)
    share = image * tl.num_programs(1) + part
    if grad is not None:
        place = weight_parts + share * (INNER * WIDTH) + inner[:, None] * WIDTH + columns[None, :]
        tl.store(place, total, mask=within[:, None] & used[None, :])
    if grad_out is not None:
        place = head_parts + share * (INNER * OUTPUTS) + inner[:, None] * OUTPUTS + outputs[None, :]
        mine = within[:, None] & (outputs < OUTPUTS)[None, :] & (column_block == 0)
        tl.store(place, read, mask=mine)
