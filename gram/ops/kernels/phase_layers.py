"""Layers of sine networks in half precision as Triton kernels, with the functions of `gram.ops.half_layers`.

Tensors may be slices along the points; their last two dimensions are contiguous.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
from torch import Tensor

from gram.ops.kernels.launch import INTERPRETED, launch
from gram.ops.kernels.sine_layer import backward_kernel, forward_kernel, head_kernel
from gram.ops.kernels.weight_gradient import weight_gradient_kernel
from gram.ops.phases import HIT_ROWS, HalfLayer, HitBlocks
from gram.shapes import Float, Float32, Int

FAST = not INTERPRETED
"""True for the GPU's own sines; the interpreter has only NumPy's."""


def sine_layer(
    phases: Int[Tensor, "batch n in"] | None,
    head: Float[Tensor, "outputs in"] | None,
    layer: HalfLayer,
    coordinates: Float32[Tensor, "batch n 3"] | None,
    hits: HitBlocks | None,
    result: Int[Tensor, "batch n width"],
    out: Float32[Tensor, "batch n outputs"],
) -> None:
    """See `half_layers.sine_layer`."""
    batch, n, width = result.shape
    launch(
        forward_kernel, _grid(batch, n, width), result,
        phases, layer.weight, head, coordinates, layer.slope, layer.bias, _mask(hits), result, out, n,
        _stride(phases), _stride(coordinates), _stride(hits), _stride(result), _stride(out),
        INNER=0 if phases is None else phases.shape[2], WIDTH=width, OUTPUTS=out.shape[2], FAST=FAST,
    )  # fmt: skip


def add_head(
    phases: Int[Tensor, "batch n width"],
    head: Float[Tensor, "outputs width"],
    hits: HitBlocks | None,
    out: Float32[Tensor, "batch n outputs"],
) -> None:
    """See `half_layers.add_head`."""
    batch, n, width = phases.shape
    launch(
        head_kernel, (triton.cdiv(n, 2 * HIT_ROWS), batch), out,
        phases, head, _mask(hits), out, n, _stride(phases), _stride(hits), _stride(out),
        INNER=width, OUTPUTS=len(head), FAST=FAST, BLOCK_M=2 * HIT_ROWS, BLOCK_K=64,
    )  # fmt: skip


def sine_layer_backward(
    phases: Int[Tensor, "batch n width"],
    grad_next: Float[Tensor, "batch n next"] | None,
    next_weight: Float[Tensor, "batch next width"] | None,
    grad_out: Float[Tensor, "batch n outputs"],
    head: Float[Tensor, "outputs width"] | None,
    coordinates: Float32[Tensor, "batch n 3"] | None,
    hits: HitBlocks | None,
) -> tuple[
    Float[Tensor, "batch n width"], Float32[Tensor, "batch width"], Float32[Tensor, "batch width 3"] | None
]:
    """See `half_layers.sine_layer_backward`."""
    batch, n, width = phases.shape
    grad = grad_out.new_empty(phases.shape)  # skipped points stay unwritten, and are skipped again
    kinds = 1 if coordinates is None else 4
    sums = grad_out.new_zeros(batch, triton.cdiv(n, HIT_ROWS), kinds, width, dtype=torch.float32)
    launch(
        backward_kernel, _grid(batch, n, width), grad,
        phases, grad_next, next_weight, grad_out, head, coordinates, _mask(hits), grad, sums, n,
        _stride(phases), _stride(grad_next), _stride(grad_out), _stride(coordinates), _stride(hits),
        _stride(grad), _stride(sums), LIMIT=torch.finfo(grad.dtype).max,
        INNER=0 if grad_next is None else grad_next.shape[2], WIDTH=width, OUTPUTS=grad_out.shape[2],
        FAST=FAST,
    )  # fmt: skip
    total = sums.sum(1)
    return grad, total[:, 0], None if coordinates is None else total[:, 1:].mT


def weight_gradients(
    phases: Int[Tensor, "batch n in"],
    grad: Float[Tensor, "batch n width"] | None,
    grad_out: Float[Tensor, "batch n outputs"] | None,
    hits: HitBlocks | None,
) -> tuple[Float32[Tensor, "batch width in"] | None, Float32[Tensor, "outputs in"] | None]:
    """See `half_layers.weight_gradients`."""
    batch, n, inner = phases.shape
    width = 0 if grad is None else grad.shape[2]
    outputs = 0 if grad_out is None else grad_out.shape[2]
    parts = max(1, min(triton.cdiv(n, HIT_ROWS), _processors(phases) // batch))
    weight, head = (
        phases.new_empty(batch, parts, inner, size, dtype=torch.float32) for size in (width, outputs)
    )

    def grid(meta: dict[str, Any]) -> tuple[int, ...]:
        columns = max(1, triton.cdiv(width, meta["BLOCK_N"]))
        return (triton.cdiv(inner, meta["BLOCK_K"]) * columns, parts, batch)

    launch(
        weight_gradient_kernel, grid, phases,
        phases, grad, grad_out, None if hits is None else hits.blocks, None if hits is None else hits.counts,
        weight, head, n, _stride(phases), _stride(grad), _stride(grad_out),
        INNER=inner, WIDTH=max(1, width), OUTPUTS=outputs, FAST=FAST,
    )  # fmt: skip
    return (
        None if grad is None else weight.sum(1).mT,
        None if grad_out is None else head.sum((0, 1)).mT,
    )


def _grid(batch: int, n: int, width: int) -> Callable[[dict[str, Any]], tuple[int, ...]]:
    def grid(meta: dict[str, Any]) -> tuple[int, ...]:
        return (triton.cdiv(n, meta["BLOCK_M"]) * triton.cdiv(width, meta["BLOCK_N"]), batch)

    return grid


def _mask(hits: HitBlocks | None) -> Tensor | None:
    return None if hits is None else hits.mask.view(torch.uint8)


def _stride(tensor: Tensor | HitBlocks | None) -> int:
    """Elements from one image to the next, 0 without a tensor."""
    if isinstance(tensor, HitBlocks):
        tensor = tensor.mask
    return 0 if tensor is None else tensor.stride(0)


def _processors(tensor: Tensor) -> int:
    """Number of processors that share a sum over points."""
    if not tensor.is_cuda:
        return 4
    return torch.cuda.get_device_properties(tensor.device).multi_processor_count
