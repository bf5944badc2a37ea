"""Fixed-point phases: pre-activations of sines as 16 bits of a turn, whole turns left out.

The matrix product of a sine layer adds up in float32, in turns (1 / (2 pi) is inside the weights). Only its
fraction of a turn matters. As an integer it is exact to 2^-17 turns, 5e-5 radians, however many turns there
were, and both the sine and its derivative follow from it: it is all that a layer stores.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from gram.ops.reference import Layer
from gram.shapes import Bool, Float, Float32, Int

UNITS = 65536
"""Units of a phase in one turn."""

HIT_ROWS = 64
"""Consecutive points of a block, which is skipped if none of them is a hit."""


class HalfLayer(NamedTuple):
    """Layer: weight sine(features) + slope coordinates + bias, in turns; the head reads its sines."""

    weight: Float[Tensor, "batch width in"] | None  # half precision; None where there are coordinates alone
    slope: Float32[Tensor, "batch width 3"] | None  # of points in the first layer, or of directions
    bias: Float32[Tensor, "batch width"]
    head: Float[Tensor, "outputs width"] | None  # half precision

    @property
    def width(self) -> int:
        """Number of phases."""
        return self.bias.shape[1]


class HitBlocks(NamedTuple):
    """Mask of the points that count, and the blocks of `HIT_ROWS` points that hold such a point."""

    mask: Bool[Tensor, "batch n"]
    blocks: Int[Tensor, "batch blocks"]  # blocks with a hit, in order, then the others
    counts: Int[Tensor, " batch"]  # number of blocks with a hit


def in_turns(layer: Layer, half: torch.dtype, *, first: bool) -> HalfLayer:
    """Convert a layer from radians in float32 to turns, with its matrix product in half precision."""
    weight = layer.weight.float() / math.tau
    split = 3 if first or layer.sees_directions else 0
    return HalfLayer(
        None if first else weight[..., split:].to(half).contiguous(),
        weight[..., :split].contiguous() if split else None,
        (layer.bias.float() / math.tau).contiguous(),
        None if layer.head is None else layer.head.to(half).contiguous(),
    )


def to_phases(turns: Float32[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Nearest fixed-point phases; half a turn is minus half a turn."""
    fraction = turns - turns.floor()
    return (fraction * UNITS + 0.5).to(torch.int32).to(torch.int16)


def sine(phases: Int[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
    """Sine of phases: sin(2 pi r), r in turns."""
    return torch.sin(phases.float() * (math.tau / UNITS))


def cosine(phases: Int[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
    """Cosine of phases: cos(2 pi r), r in turns."""
    return torch.cos(phases.float() * (math.tau / UNITS))


def find_blocks(mask: Bool[Tensor, "batch n"]) -> HitBlocks:
    """Sort blocks of points with a hit before those without, on the device: no host synchronisation."""
    filled = pad(mask, (0, -mask.shape[1] % HIT_ROWS)).unflatten(1, (-1, HIT_ROWS)).any(-1)
    blocks = filled.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    return HitBlocks(mask, blocks.to(torch.int32), filled.sum(1, dtype=torch.int32))
