"""Networks of sine layers in half precision, forward and backward, which keep 16 bits of every activation.

Half precision: the inputs of matrix products (sines, which are at most 1, weights, and gradients under a
scale of their own). Single precision: their sums, pre-activations, points, and all that leaves the network.
Kept activations are fixed-point phases, see `gram.ops.phases`. Same function as
`gram.ops.reference.evaluate_plain`.
"""

import math
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.utils import get_total_norm

from gram.ops import half_layers
from gram.ops.backend import Backend, backend_of
from gram.ops.phases import HIT_ROWS, HalfLayer, HitBlocks, find_blocks, in_turns
from gram.ops.reference import Layer, flatten, unflatten
from gram.shapes import Bool, Float, Float32

CHUNK_VALUES = 2**26
"""Activations of one layer per chunk: bounds the memory of the backward pass."""

_LARGEST_INJECTION = 4
"""Exponent of the largest gradient that a head injects: 2^4, 2^12 below the range of float16."""
_SMALLEST_GAIN = 2.0**-6
"""Lower bound of a head's gain, so that scaled gradients of its outputs stay below 2^10."""


def evaluate_in_half(
    points: Float[Tensor, "batch n 3"],
    layers: Sequence[Layer],
    *,
    half: torch.dtype,
    directions: Float[Tensor, "batch n 3"] | None = None,
    hit: Bool[Tensor, "batch n"] | None = None,
    recompute: bool = False,
    backend: Backend | None = None,
) -> Float32[Tensor, "batch n outputs"]:
    """Sum over layers of head(x_i), with x_0 = points and x_i = sin(W_i x_{i-1} + b_i).

    Differentiable once, with respect to the points and all weights.

    Args:
        points: input of the first layer.
        layers: in order; all heads have the same number of outputs, and the last layer has one.
        half: float16, or bfloat16 with an eighth of its accuracy.
        directions: further input of the layers that see them, not of the first; gets no gradient.
        hit: mask of the points that count; None for all. Outputs and gradients of the others are 0.
        recompute: keep no activations, evaluate them again in the backward pass.
        backend: choice of algorithms; None is that of the points' device.
    """
    if layers[-1].head is None:
        raise ValueError("the last layer of a point network needs a head: nothing else reads it")
    if layers[0].sees_directions:
        raise ValueError("the first layer of a network in half precision sees the points alone")
    if directions is None and any(layer.sees_directions for layer in layers):
        raise ValueError("a layer sees directions, but none are given: pass `directions`")
    weights, sees = flatten(layers)
    backend = backend or backend_of(points.device)
    with torch.autocast(points.device.type, enabled=False):
        return _Evaluate.apply(points, directions, hit, half, backend, sees, recompute, *weights)


class _Chunk(NamedTuple):
    """Points of all images, in consecutive rows."""

    rows: slice
    points: Tensor
    directions: Tensor | None
    hits: HitBlocks | None


class _Evaluate(torch.autograd.Function):
    """Chunks of rows; arguments after the settings are those of `flatten`."""

    @staticmethod
    def forward(ctx, points, directions, hit, half, backend, sees, recompute, *weights):
        layers, ops = _prepare(weights, sees, half), _layer_functions(backend)
        out = _zero_outputs(points, layers)
        keep = not recompute and any(ctx.needs_input_grad)
        kept = _buffers(points.shape[:2], layers, points.device) if keep else []
        for chunk in _chunks(points, directions, hit, layers):
            _forward(ops, chunk, layers, [phases[:, chunk.rows] for phases in kept], out[:, chunk.rows])
        # a phase is never NaN: weights and points that are not finite reach the outputs directly
        tensors = [t for layer in layers for t in (layer.weight, layer.slope, layer.bias, layer.head)]
        out += 0.0 * get_total_norm([t for t in tensors if t is not None], math.inf)
        out += 0.0 * points.sum(-1, keepdim=True)
        ctx.save_for_backward(points, directions, hit, *weights, *kept)
        ctx.settings = half, backend, sees
        return out if hit is None else torch.where(hit[..., None], out, 0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # pyright: ignore[reportIncompatibleMethodOverride]
        half, backend, sees = ctx.settings
        points, directions, hit, *saved = ctx.saved_tensors
        weights, kept = saved[: 3 * len(sees)], saved[3 * len(sees) :]
        layers, ops = _prepare(weights, sees, half), _layer_functions(backend)
        if hit is not None:
            grad_out = torch.where(hit[..., None], grad_out, 0.0)
        # gradients travel in half precision under one scale, and leave in float32 without it
        scale, inverse = _scale(grad_out, layers)
        grads = [_zeros_like(layer) for layer in layers]
        grad_points = torch.zeros_like(points, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        for chunk in _chunks(points, directions, hit, layers):
            phases = [one[:, chunk.rows] for one in kept] or _recompute(ops, chunk, layers)
            scaled = (grad_out[:, chunk.rows] * scale).to(half).contiguous()
            first = _backward(ops, chunk, layers, phases, scaled, grads)
            if grad_points is not None and (slope := layers[0].slope) is not None:
                grad_points[:, chunk.rows] = half_layers.product(first, slope.to(half))
        if grad_points is not None:
            grad_points *= inverse
            if hit is not None:
                grad_points = torch.where(hit[..., None], grad_points, 0.0)
        return grad_points, None, None, None, None, None, None, *_in_radians(grads, inverse)


def _layer_functions(backend: Backend) -> ModuleType:
    """Module with the functions of a layer: Triton kernels, or the same in plain torch."""
    if backend.kernels:
        from gram.ops.kernels import phase_layers as kernels

        return kernels
    return half_layers


def _prepare(weights: Sequence[Any], sees: Sequence[bool], half: torch.dtype) -> list[HalfLayer]:
    return [in_turns(layer, half, first=i == 0) for i, layer in enumerate(unflatten(weights, sees))]


def _buffers(shape: torch.Size, layers: Sequence[HalfLayer], device: torch.device) -> list[Tensor]:
    """Buffers for the phases of every layer."""
    return [torch.empty(*shape, layer.width, dtype=torch.int16, device=device) for layer in layers]


def _zero_outputs(points: Tensor, layers: Sequence[HalfLayer]) -> Tensor:
    head = layers[-1].head
    assert head is not None
    return points.new_zeros(*points.shape[:2], len(head), dtype=torch.float32)


def _zeros_like(layer: HalfLayer) -> HalfLayer:
    """Zero gradients of a layer, in float32."""
    weight, slope, head = (
        None if t is None else torch.zeros_like(t, dtype=torch.float32)
        for t in (layer.weight, layer.slope, layer.head)
    )
    return HalfLayer(weight, slope, torch.zeros_like(layer.bias), head)


def _chunks(
    points: Tensor, directions: Tensor | None, hit: Tensor | None, layers: Sequence[HalfLayer]
) -> Iterator[_Chunk]:
    batch, n, _ = points.shape
    widest = max(layer.width for layer in layers)
    size = max(1, CHUNK_VALUES // (batch * widest * HIT_ROWS)) * HIT_ROWS
    for start in range(0, n, size):
        rows = slice(start, start + size)
        seen = None if directions is None else directions[:, rows].float().contiguous()
        hits = None if hit is None else find_blocks(hit[:, rows])
        yield _Chunk(rows, points[:, rows].float().contiguous(), seen, hits)


def _coordinates(chunk: _Chunk, layer: HalfLayer) -> Tensor | None:
    if layer.slope is None:
        return None
    return chunk.points if layer.weight is None else chunk.directions


def _forward(
    ops: ModuleType, chunk: _Chunk, layers: Sequence[HalfLayer], kept: list[Tensor], out: Tensor
) -> None:
    """Add the heads' outputs to `out`; write the phases of every layer to `kept` unless that is empty."""
    phases, head = None, None
    for i, layer in enumerate(layers):
        result = kept[i] if kept else _buffers(chunk.points.shape[:2], [layer], out.device)[0]
        ops.sine_layer(phases, head, layer, _coordinates(chunk, layer), chunk.hits, result, out)
        phases, head = result, layer.head
    assert phases is not None and head is not None
    ops.add_head(phases, head, chunk.hits, out)


def _recompute(ops: ModuleType, chunk: _Chunk, layers: Sequence[HalfLayer]) -> list[Tensor]:
    kept = _buffers(chunk.points.shape[:2], layers, chunk.points.device)
    _forward(ops, chunk, layers, kept, _zero_outputs(chunk.points, layers))
    return kept


def _backward(
    ops: ModuleType,
    chunk: _Chunk,
    layers: Sequence[HalfLayer],
    phases: Sequence[Tensor],
    grad_out: Tensor,
    grads: Sequence[HalfLayer],
) -> Tensor:
    """Add the chunk's part to the gradients of all weights; return that of the first layer's turns."""
    grad, weight, into_weight = None, None, None
    for layer, into, p in zip(reversed(layers), reversed(grads), reversed(phases), strict=True):
        read = grad_out if layer.head is not None else None
        of_weight, of_head = ops.weight_gradients(p, grad, read, chunk.hits)
        grad, of_bias, of_slope = ops.sine_layer_backward(
            p, grad, weight, grad_out, layer.head, _coordinates(chunk, layer), chunk.hits
        )
        pairs = [(into_weight, of_weight), (into.head, of_head), (into.bias, of_bias), (into.slope, of_slope)]
        for total, part in pairs:
            if total is not None and part is not None:
                total += part
        weight, into_weight = layer.weight, into.weight
    assert grad is not None
    return grad


def _scale(grad_out: Tensor, layers: Sequence[HalfLayer]) -> tuple[Tensor, Tensor]:
    """Power of two that brings gradients into the range of float16, and its inverse, NaN unless all gradients
    are finite; no host synchronisation."""
    one = grad_out.new_ones((), dtype=torch.float32)
    if grad_out.numel() == 0:
        return one, one
    gains = [layer.head.float().abs().sum(0).amax() for layer in layers if layer.head is not None]
    largest = torch.linalg.vector_norm(grad_out.float(), torch.inf)
    injection = largest * torch.stack(gains).amax().clamp_min(_SMALLEST_GAIN)
    exponent = (_LARGEST_INJECTION - torch.frexp(injection).exponent).clamp(-100, 100)
    scale = torch.ldexp(one, exponent)
    return scale, torch.where(injection.isfinite(), 1.0 / scale, torch.nan)


def _in_radians(grads: Sequence[HalfLayer], inverse: Tensor) -> Iterator[Tensor | None]:
    """Gradients of the weights, biases and heads in the order of `flatten`, without the scale."""
    for grad in grads:
        weight = torch.cat([t for t in (grad.slope, grad.weight) if t is not None], -1)
        yield weight * (inverse / math.tau)
        yield grad.bias * (inverse / math.tau)
        yield None if grad.head is None else grad.head * inverse
