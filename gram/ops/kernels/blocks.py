"""Block sizes of the sine kernels, and the device functions that they share."""

import math
from typing import Any, no_type_check

import triton
import triton.language as tl
from triton.language.extra import libdevice

from gram.ops.kernels.launch import INTERPRETED
from gram.ops.phases import HIT_ROWS, UNITS

UNITS_OF_A_TURN = tl.constexpr(float(UNITS))
RADIANS_OF_A_UNIT = tl.constexpr(math.tau / UNITS)
RADIANS_OF_A_TURN = tl.constexpr(math.tau)
HEADS = tl.constexpr(16)
"""Number of outputs, padded to the smallest matrix product."""


def _configs(*choices: tuple[int, int, int, int, int]) -> list[triton.Config]:
    """Configurations of (points, columns, inner columns, warps, stages); small blocks in the interpreter."""
    if INTERPRETED:
        choices = ((HIT_ROWS, 16, 16, 4, 1),)
    assert all(points % HIT_ROWS == 0 for points, *_ in choices)  # points are skipped in such blocks
    return [
        triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k}, num_warps=warps, num_stages=stages)
        for m, n, k, warps, stages in choices
    ]


def fitting(configs: list[triton.Config], named_args: dict[str, Any], **kwargs: Any) -> list[triton.Config]:
    """Select configurations whose blocks are not wider than the layer, or the narrowest."""
    width = {**named_args, **kwargs}["WIDTH"]
    narrowest = min(config.kwargs["BLOCK_N"] for config in configs)
    widest = max(narrowest, triton.next_power_of_2(width))
    return [config for config in configs if config.kwargs["BLOCK_N"] <= widest]


PRODUCTS = _configs((128, 256, 32, 8, 4), (128, 128, 64, 8, 3), (64, 128, 64, 4, 3), (64, 64, 32, 4, 4))
"""Configurations of products with points as rows, each the fastest for a layer of width 64, 128 or 256 on an
H200.

The first run on a device times them and caches the fastest beside the compiled kernels: later runs start at
once and add in the same order.
"""

GRADIENTS = _configs((64, 128, 128, 8, 3), (64, 128, 64, 4, 4), (64, 64, 64, 4, 3))
"""Configurations of products that sum over points, in blocks of `HIT_ROWS`."""


@triton.jit
@no_type_check
def sine(phases, FAST: tl.constexpr):
    angle = phases.to(tl.float32) * RADIANS_OF_A_UNIT
    return libdevice.fast_sinf(angle) if FAST else tl.sin(angle)


@triton.jit
@no_type_check
def cosine(phases, FAST: tl.constexpr):
    angle = phases.to(tl.float32) * RADIANS_OF_A_UNIT
    return libdevice.fast_cosf(angle) if FAST else tl.cos(angle)


@triton.jit
@no_type_check
def nothing_hit(hit, rows, n):
    return tl.max(tl.load(hit + rows, mask=rows < n, other=0).to(tl.int32), axis=0) == 0
