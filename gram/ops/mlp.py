"""Small networks evaluated at very many points: one function for all backends, and that of the CPU.

Autograd would stream several tensors per layer through main memory, for all points at once. On a CPU a few
thousand points pass through all layers while they are in a core's cache, and only what the derivative needs
is kept, or nothing at all (`recompute`). Same function and gradients as `gram.ops.reference.evaluate_plain`,
which runs on other devices; half precision is `gram.ops.half` on every device.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gram.ops.backend import Backend, backend_of
from gram.ops.half import evaluate_in_half
from gram.ops.reference import (
    Activation,
    Layer,
    evaluate_plain,
    evaluate_with_checkpoints,
    flatten,
    layer_input,
    unflatten,
)
from gram.ops.relu import evaluate_relu
from gram.shapes import Bool, Float
from gram.system.threads import map_on_cores, split_evenly

threshold_backward = torch.ops.aten.threshold_backward

CHUNK = 4096
"""Points per pass through the network on a CPU: at width 64 one activation is 1 MiB."""


def evaluate(
    points: Float[Tensor, "batch n 3"],
    layers: Sequence[Layer],
    activation: Activation,
    *,
    directions: Float[Tensor, "batch n 3"] | None = None,
    recompute: bool = False,
    half: torch.dtype | None = None,
    hit: Bool[Tensor, "batch n"] | None = None,
    backend: Backend | None = None,
) -> Float[Tensor, "batch n outputs"]:
    """Sum over layers of head(x_i), with x_0 = points and x_i = activation(W_i x_{i-1} + b_i).

    Differentiable once, with respect to the points and all weights.

    Args:
        points: input of the first layer.
        layers: in order; all heads have the same number of outputs, and the last layer has one.
        activation: nonlinearity of every layer.
        directions: further input of the layers that see them; gets no gradient.
        recompute: keep no activations, evaluate them again in the backward pass.
        half: type of matrix products, float16 or bfloat16; None is the type of the points. Sines only.
        hit: mask of the points that count; None for all. Outputs of the others are 0 in half precision, and
            in full precision as if they counted.
        backend: choice of algorithms; None is that of the points' device.
    """
    backend = backend or backend_of(points.device)
    if half is not None:
        if activation != "sine":
            raise ValueError(f"a network of {activation}s has no half precision: give half = None")
        return evaluate_in_half(
            points, layers, half=half, directions=directions, hit=hit, recompute=recompute, backend=backend
        )
    if not backend.host_sync:
        if activation == "relu":
            return evaluate_relu(points, layers, directions=directions, backend=backend)
        function = evaluate_with_checkpoints if recompute else evaluate_plain
        return function(points, layers, activation, directions=directions)
    weights, sees = flatten(layers)
    return _Evaluate.apply(points, directions, activation, sees, recompute, *weights)


class _Chunk(NamedTuple):
    """Points of one image, with buffers for what each layer keeps of them: (output, derivative)."""

    image: int
    points: Tensor
    directions: Tensor | None
    kept: list[tuple[Tensor, ...]] | None


class _Evaluate(torch.autograd.Function):
    """Cache-sized chunks on all cores; arguments after the settings are those of `flatten`."""

    @staticmethod
    def forward(ctx, points, directions, activation, sees, recompute, *weights):
        layers = unflatten(weights, sees)
        keep = not recompute and any(ctx.needs_input_grad)
        kept = _buffers(points, layers, activation) if keep else None
        head = layers[-1].head
        if head is None:
            raise ValueError("the last layer of a point network needs a head: nothing else reads it")
        out = points.new_zeros(*points.shape[:2], head.shape[0])

        def work(part: Sequence[tuple[_Chunk, slice]]) -> None:
            with torch.no_grad():  # grad mode is per thread
                for chunk, rows in part:
                    _forward(chunk, layers, activation, out[chunk.image, rows])

        map_on_cores(work, _parts(points, directions, kept))
        flat = [] if kept is None else [t for pair in kept for t in pair]
        ctx.save_for_backward(points, directions, *weights, *flat)
        ctx.settings = activation, sees
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # pyright: ignore[reportIncompatibleMethodOverride]
        activation, sees = ctx.settings
        points, directions, *saved = ctx.saved_tensors
        weights, flat = saved[: 3 * len(sees)], saved[3 * len(sees) :]
        layers = unflatten(weights, sees)
        per_layer = len(flat) // len(sees)
        kept = [tuple(flat[per_layer * i :][:per_layer]) for i in range(len(sees))] if flat else None
        grad_points = torch.empty_like(points) if ctx.needs_input_grad[0] else None

        def work(part: Sequence[tuple[_Chunk, slice]]) -> list[Tensor | None]:
            grads = [None if w is None else torch.zeros_like(w) for w in weights]
            with torch.no_grad():
                for chunk, rows in part:
                    if chunk.kept is None:
                        chunk = _recompute(chunk, layers, activation)
                    into_points = None if grad_points is None else grad_points[chunk.image, rows]
                    _backward(chunk, layers, grad_out[chunk.image, rows], unflatten(grads, sees), into_points)
            return grads

        of_parts = map_on_cores(work, _parts(points, directions, kept))
        grads = [None if g[0] is None else sum(g[1:], g[0]) for g in zip(*of_parts, strict=True)]
        return grad_points, None, None, None, None, *grads


def _buffers(points: Tensor, layers: Sequence[Layer], activation: Activation) -> list[tuple[Tensor, ...]]:
    """Buffers of every layer's output and, for sines, its derivative (a ReLU's is in its output)."""
    count = 2 if activation == "sine" else 1
    shapes = [(*points.shape[:-1], layer.weight.shape[1]) for layer in layers]
    return [tuple(points.new_empty(shape) for _ in range(count)) for shape in shapes]


def _chunks(
    points: Tensor, directions: Tensor | None, kept: list[tuple[Tensor, ...]] | None
) -> Iterator[tuple[_Chunk, slice]]:
    for image in range(len(points)):
        for start in range(0, points.shape[1], CHUNK):
            rows = slice(start, start + CHUNK)
            seen = None if directions is None else directions[image, rows]
            mine = None if kept is None else [tuple(t[image, rows] for t in pair) for pair in kept]
            yield _Chunk(image, points[image, rows], seen, mine), rows


def _parts(
    points: Tensor, directions: Tensor | None, kept: list[tuple[Tensor, ...]] | None
) -> list[Sequence[tuple[_Chunk, slice]]]:
    """Chunks of each thread, always divided alike, so that sums are reproducible."""
    return split_evenly(list(_chunks(points, directions, kept)), torch.get_num_threads())


def _recompute(chunk: _Chunk, layers: Sequence[Layer], activation: Activation) -> _Chunk:
    buffers = _buffers(chunk.points[None], layers, activation)
    chunk = chunk._replace(kept=[tuple(t[0] for t in pair) for pair in buffers])
    _forward(chunk, layers, activation, None)
    return chunk


def _forward(chunk: _Chunk, layers: Sequence[Layer], activation: Activation, out: Tensor | None) -> None:
    """Add the heads' outputs to `out`; fill `chunk.kept`."""
    x = chunk.points
    for i, layer in enumerate(layers):
        x = layer_input(x, chunk.directions, layer)
        x = torch.addmm(layer.bias[chunk.image], x, layer.weight[chunk.image].mT)
        if activation == "relu":
            x = x.relu_() if chunk.kept is None else torch.clamp_min(x, 0.0, out=chunk.kept[i][0])
        else:
            x = _sine(x, chunk.kept[i] if chunk.kept else (x,))
        if out is not None and layer.head is not None:
            out.addmm_(x, layer.head.mT)


def _sine(x: Tensor, into: tuple[Tensor, ...]) -> Tensor:
    """Sine, and cosine where it has a buffer; NumPy takes less than half of torch's time on a CPU."""
    if len(into) == 2:
        np.cos(x.numpy(), out=into[1].numpy())
    np.sin(x.numpy(), out=into[0].numpy())
    return into[0]


def _backward(
    chunk: _Chunk,
    layers: Sequence[Layer],
    grad_out: Tensor,
    grads: Sequence[Layer],
    grad_points: Tensor | None,
) -> None:
    """Add the chunk's contribution to the gradients of the weights; write the gradient of its points."""
    assert chunk.kept is not None
    grad_x = chunk.points.new_zeros(len(chunk.points), layers[-1].weight.shape[1])
    for i in reversed(range(len(layers))):
        layer, grad, (output, *derivative) = layers[i], grads[i], chunk.kept[i]
        # head: its own gradient, and what it sends into the activation
        if layer.head is not None and grad.head is not None:
            grad.head.addmm_(grad_out.mT, output)
            grad_x.addmm_(grad_out, layer.head)
        # activation
        grad_x = grad_x.mul_(derivative[0]) if derivative else threshold_backward(grad_x, output, 0.0)
        # weight and bias
        x = layer_input(chunk.kept[i - 1][0] if i else chunk.points, chunk.directions, layer)
        grad.weight[chunk.image].addmm_(grad_x.mT, x)
        grad.bias[chunk.image].add_(grad_x.sum(0))
        # input of the layer, without directions
        if i or grad_points is not None:
            features = layer.weight[chunk.image][:, -x.shape[1] + (3 if layer.sees_directions else 0) :]
            grad_x = grad_x @ features
    if grad_points is not None:
        grad_points.copy_(grad_x)
