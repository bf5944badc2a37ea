"""First decreasing crossings of many levels, in one walk along each ray.

The plain search stores a comparison of every value with every level: 96 million for an image of 256 x 256
pixels, 64 points per ray and 23 levels. The kernel stores only the first crossing of a level.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from gram.ops.kernels.launch import launch
from gram.shapes import Bool, Float, Int

RAYS = 64
"""Rays per block."""


@triton.jit(do_not_specialize=["count"])
@no_type_check
def crossings_kernel(
    values, levels, start, hit, count,
    POINTS: tl.constexpr, LEVELS: tl.constexpr, RAYS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Store start = first k with values[k] >= level >= values[k + 1], else 0, and hit = there is one."""
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    lane = tl.arange(0, LANES)
    inside, used = ray < count, lane < LEVELS
    level = tl.load(levels + lane, mask=used, other=0.0)[None, :]
    row = values + ray * POINTS
    before = tl.load(row, mask=inside, other=0.0)[:, None]
    found = tl.zeros((RAYS, LANES), tl.int1)
    first = tl.zeros((RAYS, LANES), tl.int32)
    for k in range(POINTS - 1):
        after = tl.load(row + k + 1, mask=inside, other=0.0)[:, None]
        crossing = (before >= level) & (after <= level) & (found == 0)  # false for NaN
        first = tl.where(crossing, k, first)
        found = found | crossing
        before = after
    place = ray[:, None] * LEVELS + lane[None, :]
    kept = inside[:, None] & used[None, :]
    tl.store(start + place, first.to(tl.int64), mask=kept)
    tl.store(hit + place, found, mask=kept)


def first_crossings(
    values: Float[Tensor, "*rays points"], levels: Float[Tensor, " levels"]
) -> tuple[Int[Tensor, "*rays levels"], Bool[Tensor, "*rays levels"]]:
    """Find the first k with values[k] >= level >= values[k + 1], else 0, and a mask of hits."""
    shape = (*values.shape[:-1], len(levels))
    start = torch.empty(shape, dtype=torch.int64, device=values.device)
    hit = torch.empty(shape, dtype=torch.bool, device=values.device)
    count = values.shape[:-1].numel()
    if start.numel():
        launch(
            crossings_kernel, (triton.cdiv(count, RAYS),), values,
            values.contiguous(), levels.contiguous(), start, hit, count,
            POINTS=values.shape[-1], LEVELS=len(levels), RAYS=RAYS,
            LANES=triton.next_power_of_2(len(levels)), num_warps=4,
        )  # fmt: skip
    return start, hit
