"""Layers of sine networks in half precision, forward and backward, in plain torch.

`gram.ops.kernels.phase_layers` has the same functions as Triton kernels. Matrix products take half precision
and accumulate in float32. Results at points that are no hit are undefined.
"""

import math

import torch
from torch import Tensor

from gram.ops.phases import HalfLayer, HitBlocks, cosine, sine, to_phases
from gram.shapes import Float, Float32, Int


def sine_layer(
    phases: Int[Tensor, "batch n in"] | None,
    head: Float[Tensor, "outputs in"] | None,
    layer: HalfLayer,
    coordinates: Float32[Tensor, "batch n 3"] | None,
    hits: HitBlocks | None,
    result: Int[Tensor, "batch n width"],
    out: Float32[Tensor, "batch n outputs"],
) -> None:
    """Write the layer's phases to `result`; add the output of the head of the layer before to `out`.

    Args:
        phases: output of the layer before; None for the first layer.
        head: head of the layer before.
        layer: weights of this layer.
        coordinates: points or directions, where the layer has a slope.
        hits: points that count; None for all.
        result: phases, written.
        out: outputs, added to.
    """
    turns = layer.bias[:, None]
    if phases is not None and layer.weight is not None:
        x = sine(phases).to(layer.weight.dtype)
        turns = turns + product(x, layer.weight.mT)
        if head is not None:
            out += _read(x, head)
    if coordinates is not None and layer.slope is not None:
        for j in range(3):  # no matrix product: that of a GPU may round its float32 inputs
            turns = torch.addcmul(turns, coordinates[..., j, None], layer.slope[:, None, :, j])
    result.copy_(to_phases(turns))


def add_head(
    phases: Int[Tensor, "batch n width"],
    head: Float[Tensor, "outputs width"],
    hits: HitBlocks | None,
    out: Float32[Tensor, "batch n outputs"],
) -> None:
    """Add the output of a layer's head to `out`."""
    out += _read(sine(phases).to(head.dtype), head)


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
    """Gradients of a layer's turns (half precision), bias and slope.

    Args:
        phases: output of the layer.
        grad_next: gradient of the next layer's turns; None for the last layer.
        next_weight: weight of the next layer.
        grad_out: gradient of the network's outputs.
        head: head of the layer.
        coordinates: points or directions, where the layer has a slope.
        hits: points that count; None for all.
    """
    half = grad_out.dtype
    grad = grad_out.new_zeros(phases.shape, dtype=torch.float32)
    if grad_next is not None and next_weight is not None:
        grad += product(grad_next, next_weight)
    if head is not None:
        grad += product(grad_out, head.expand(len(grad), -1, -1))
    grad *= cosine(phases) * math.tau
    slope = None
    if coordinates is not None:
        slope = torch.stack([(grad * coordinates[..., j, None]).sum(1) for j in range(3)], -1)
    limit = torch.finfo(half).max  # a gradient that does not fit is cut, not infinite
    return grad.clamp(-limit, limit).to(half), grad.sum(1), slope


def weight_gradients(
    phases: Int[Tensor, "batch n in"],
    grad: Float[Tensor, "batch n width"] | None,
    grad_out: Float[Tensor, "batch n outputs"] | None,
    hits: HitBlocks | None,
) -> tuple[Float32[Tensor, "batch width in"] | None, Float32[Tensor, "outputs in"] | None]:
    """Gradients of the two matrices that multiply the sines of a layer: the next layer's weight and the head.

    Args:
        phases: output of the layer.
        grad: gradient of the next layer's turns; None for the last layer.
        grad_out: gradient of the outputs, zero at points that are no hit; None without a head.
        hits: points that count; None for all.
    """
    present = grad if grad is not None else grad_out
    assert present is not None, "a layer that nothing reads has no gradient"
    x = sine(phases).to(present.dtype)
    return (
        None if grad is None else product(grad.mT, x),
        None if grad_out is None else product(grad_out.mT, x).sum(0),
    )


def product(
    a: Float[Tensor, "batch rows inner"], b: Float[Tensor, "batch inner columns"]
) -> Float32[Tensor, "batch rows columns"]:
    """Product a @ b of matrices in half precision, accumulated in float32."""
    if a.is_cuda:
        return torch.bmm(a, b, out_dtype=torch.float32)
    return torch.bmm(a.float(), b.float())


def _read(x: Tensor, head: Tensor) -> Tensor:
    return product(x, head.mT.expand(len(x), -1, -1))
