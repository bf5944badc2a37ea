"""ReLU network from points to numbers, all layers in one kernel: only points and values touch memory.

Matrix products are float32 on tensor cores, see `gram.ops.kernels.relu_layers`.

Registers hold the layer between first and last whole: the first is three multiplications, evaluated for a
slice of its units at a time, and the last is summed slice by slice.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.functional import pad

from gram.ops.kernels.launch import INTERPRETED, launch
from gram.ops.kernels.relu_layers import first_layer, first_two_layers, last_layer, split
from gram.shapes import Float

HIDDEN_LAYERS = (2, 3)
"""Numbers of hidden layers that the kernels support."""
WIDEST = 256
"""Largest supported width."""


def shared_memory_for(width: int, hidden: int) -> int:
    """Bytes of shared memory that the kernels of values and gradients need, measured by compiling them."""
    if width > WIDEST:
        return 2**62
    small = width <= 64 or (width <= 128 and hidden == 3)
    return 99 * 1024 if small else 197 * 1024


class Weights(NamedTuple):
    """Weights of a network whose hidden layers all have `width` units, a power of two; see `prepare`."""

    hidden: int
    width: int
    first: Float[Tensor, "width 3"]
    biases: list[Tensor]  # (width) per layer
    inner: list[tuple[Tensor, Tensor]]  # hi and lo of the (width, width) weights, from the second layer on
    head: Float[Tensor, " width"]


def prepare(weights: Sequence[Tensor], biases: Sequence[Tensor], head: Float[Tensor, "1 last"]) -> Weights:
    """Pad and split the weights (out, in), biases (out) and head of two or three hidden layers."""
    width = max(16, triton.next_power_of_2(max(len(bias) for bias in biases)))
    first, *rest = [_padded(w, width, 3 if i == 0 else width) for i, w in enumerate(weights)]
    return Weights(
        len(weights), width, first, [_padded(b[None], 1, width)[0] for b in biases],
        [split_in_two(w) for w in rest], _padded(head, 1, width)[0],
    )  # fmt: skip


def _padded(matrix: Tensor, rows: int, columns: int) -> Tensor:
    return pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0])).contiguous()


def split_in_two(x: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Split x = hi + lo exactly: hi is x rounded to the 11 bits of a tf32 number."""
    hi = ((x.view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)
    return hi, x - hi


def _configs(*choices: tuple[int, int, int, int, int]) -> list[triton.Config]:
    """Configurations of (largest width, points, slice, warps, stages); small blocks in the interpreter."""
    if INTERPRETED:
        choices = ((WIDEST, 32, 16, 4, 1),)
    return [
        triton.Config({"UP_TO": w, "POINTS": p, "SLICE": s}, num_warps=warps, num_stages=stages)
        for w, p, s, warps, stages in choices
    ]


def _fitting(configs: list[triton.Config], named_args: dict[str, Any], **kwargs: Any) -> list[triton.Config]:
    """Select the configurations of this width."""
    width = {**named_args, **kwargs}["WIDTH"]
    bound = min(config.kwargs["UP_TO"] for config in configs if config.kwargs["UP_TO"] >= width)
    return [c for c in configs if c.kwargs["UP_TO"] == bound and c.kwargs["SLICE"] <= max(width, 16)]


CONFIGS = _configs(
    (64, 128, 32, 4, 2), (64, 128, 16, 4, 3),
    (128, 128, 32, 8, 2), (128, 64, 32, 4, 2),
    (256, 64, 16, 8, 2),
)  # fmt: skip


@triton.autotune(
    CONFIGS,
    key=["HIDDEN", "WIDTH"],
    prune_configs_by={"early_config_prune": _fitting},
    cache_results=True,
)
@triton.jit(do_not_specialize=["count"])
@no_type_check
def values_kernel(
    origins,
    directions,
    grid,
    centre,
    first,
    first_bias,
    middle_hi,
    middle_lo,
    middle_bias,
    last_hi,
    last_lo,
    last_bias,
    head,
    out,
    count,
    scale,
    GRID: tl.constexpr,
    HIDDEN: tl.constexpr,
    WIDTH: tl.constexpr,
    UP_TO: tl.constexpr,
    POINTS: tl.constexpr,
    SLICE: tl.constexpr,
):
    """Store head . h(x) at GRID points (origin + t direction) scale - centre per ray, or at points (0)."""
    # coordinates (POINTS,)
    p = tl.program_id(0).to(tl.int64) * POINTS + tl.arange(0, POINTS)
    inside = p < count
    place = origins + 3 * (p if GRID == 0 else p // GRID)
    x = tl.load(place, mask=inside, other=0.0)
    y = tl.load(place + 1, mask=inside, other=0.0)
    z = tl.load(place + 2, mask=inside, other=0.0)
    if GRID > 0:
        t = tl.load(grid + p % GRID, mask=inside, other=0.0)
        place = directions + 3 * (p // GRID)
        x = (x + t * tl.load(place, mask=inside, other=0.0)) * scale - tl.load(centre)
        y = (y + t * tl.load(place + 1, mask=inside, other=0.0)) * scale - tl.load(centre + 1)
        z = (z + t * tl.load(place + 2, mask=inside, other=0.0)) * scale - tl.load(centre + 2)
    # all layers but the last (POINTS, WIDTH), then the last by slices
    units = tl.arange(0, WIDTH)
    value = tl.zeros((POINTS,), tl.float32)
    if HIDDEN == 2:
        h = first_layer(x, y, z, first, first_bias, units)
    else:
        h = first_two_layers(
            x, y, z, first, first_bias, middle_hi, middle_lo, middle_bias, POINTS, WIDTH, SLICE
        )
    h_hi, h_lo = split(h)
    for start in range(0, WIDTH, SLICE):
        some = start + tl.arange(0, SLICE)
        last = last_layer(h_hi, h_lo, last_hi, last_lo, last_bias, some, POINTS, WIDTH, SLICE)
        value += tl.sum(last * tl.load(head + some)[None, :], axis=1)
    tl.store(out + p, value, mask=inside)


def values_at(points: Float[Tensor, "n 3"], weights: Weights) -> Float[Tensor, " n"]:
    """Evaluate the network at points."""
    points = points.contiguous()
    out = points.new_empty(len(points))
    _launch(points, points, points, points, 1.0, 0, weights, out)
    return out


def values_along(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    t: Float[Tensor, " k"],
    weights: Weights,
    *,
    scale: float,
    centre: Float[Tensor, "3"],
) -> Float[Tensor, "rays k"]:
    """Evaluate the network at (origin + t direction) scale - centre for every t on every ray."""
    out = origins.new_empty(len(origins), len(t))
    _launch(origins.contiguous(), directions.contiguous(), t, centre, scale, len(t), weights, out)
    return out


def _launch(
    origins: Tensor, directions: Tensor, t: Tensor, centre: Tensor,
    scale: float, points_per_ray: int, weights: Weights, out: Tensor,
) -> None:  # fmt: skip
    if not out.numel():
        return
    launch(
        values_kernel, lambda meta: (triton.cdiv(out.numel(), meta["POINTS"]),), out,
        origins, directions, t, centre, *arguments(weights), weights.head, out,
        out.numel(), scale, GRID=points_per_ray, HIDDEN=weights.hidden, WIDTH=weights.width,
    )  # fmt: skip


def arguments(weights: Weights) -> list[Tensor]:
    """Arguments of a kernel: first layer, middle layer (of two layers the last one), last layer."""
    layers = zip(weights.inner, weights.biases[1:], strict=True)
    inner = [[*parts, bias] for parts, bias in layers]
    return [weights.first, weights.biases[0], *inner[0], *inner[-1]]
