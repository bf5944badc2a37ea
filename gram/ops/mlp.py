"""Small networks evaluated at very many points, forward and backward by hand.

Autograd would stream several tensors per layer through main memory, for all points at once. Here a few
thousand points pass through all layers while they are in a core's cache, and only what the derivative needs
is kept, or nothing at all (`recompute`). Same function and gradients as `evaluate_plain`, its twin in the
tests, which is what runs on other devices; in half precision it is `gram.ops.half` everywhere.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gram.ops.half import evaluate_in_half
from gram.ops.reference import Activation, Layer, evaluate_plain, evaluate_with_checkpoints, layer_input
from gram.ops.relu import evaluate_relu
from gram.shapes import Bool, Float
from gram.system.devices import is_off_cpu
from gram.system.threads import map_on_cores, split_evenly

threshold_backward = torch.ops.aten.threshold_backward

CHUNK = 4096
"""Points that pass through the network together: at width 64 one activation is 1 MiB."""


def evaluate(
    points: Float[Tensor, "batch n 3"],
    layers: Sequence[Layer],
    activation: Activation,
    *,
    directions: Float[Tensor, "batch n 3"] | None = None,
    recompute: bool = False,
    half: torch.dtype | None = None,
    hit: Bool[Tensor, "batch n"] | None = None,
) -> Float[Tensor, "batch n outputs"]:
    """Sum over layers of head(x_i), with x_0 = points and x_i = activation(W_i x_{i-1} + b_i).

    Differentiable once, with respect to the points and all weights.

    Args:
        points: input of the first layer.
        layers: in order; all heads have the same number of outputs, and the last layer has one.
        activation: of every layer.
        directions: further input of the layers that see them; gets no gradient.
        recompute: keep no activations, evaluate them again in the backward pass.
        half: type of matrix products, float16 or bfloat16; None is the type of the points. Sines only.
        hit: points that count; None where all do. What others give is 0 in half precision, and otherwise
            what they would give if they counted.
    """
    if half is not None:
        if activation != "sine":
            raise ValueError(f"a network of {activation}s has no half precision: give half = None")
        return evaluate_in_half(
            points, layers, half=half, directions=directions, hit=hit, recompute=recompute
        )
    if is_off_cpu(points):
        if activation == "relu":
            return evaluate_relu(points, layers, directions=directions)
        function = evaluate_with_checkpoints if recompute else evaluate_plain
        return function(points, layers, activation, directions=directions)
    sees = tuple(layer.sees_directions for layer in layers)
    weights = [t for layer in layers for t in (layer.weight, layer.bias, layer.head)]
    return _Evaluate.apply(points, directions, activation, sees, recompute, *weights)


class _Chunk(NamedTuple):
    """Some points of one image, and room for what each layer keeps of them: (output, derivative)."""

    image: int
    points: Tensor
    directions: Tensor | None
    kept: list[tuple[Tensor, ...]] | None


class _Evaluate(torch.autograd.Function):
    """Arguments after the settings: weight, bias and head of every layer."""

    @staticmethod
    def forward(ctx, points, directions, activation, sees, recompute, *weights):
        layers = _as_layers(weights, sees)
        keep = not recompute and any(ctx.needs_input_grad)
        kept = _room(points, layers, activation) if keep else None
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
        layers = _as_layers(weights, sees)
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
                    _backward(
                        chunk, layers, grad_out[chunk.image, rows], _as_layers(grads, sees), into_points
                    )
            return grads

        of_parts = map_on_cores(work, _parts(points, directions, kept))
        grads = [None if g[0] is None else sum(g[1:], g[0]) for g in zip(*of_parts, strict=True)]
        return grad_points, None, None, None, None, *grads


def _as_layers(weights: Sequence[Any], sees: Sequence[bool]) -> list[Layer]:
    return [Layer(*weights[3 * i : 3 * i + 3], sees_directions=s) for i, s in enumerate(sees)]


def _room(points: Tensor, layers: Sequence[Layer], activation: Activation) -> list[tuple[Tensor, ...]]:
    """Empty tensors for every layer's output and, for sines, its derivative (a ReLU's is in its output)."""
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
    """The chunks, shared out to the threads: always in the same way, so that sums are reproducible."""
    return split_evenly(list(_chunks(points, directions, kept)), torch.get_num_threads())


def _recompute(chunk: _Chunk, layers: Sequence[Layer], activation: Activation) -> _Chunk:
    room = _room(chunk.points[None], layers, activation)
    chunk = chunk._replace(kept=[tuple(t[0] for t in pair) for pair in room])
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
    """Sine, and cosine where there is room for it; NumPy's take less than half of torch's time on a CPU."""
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
    """Add the chunk's share to the gradients of the weights; write that of its points."""
    assert chunk.kept is not None
    grad_x = chunk.points.new_zeros(len(chunk.points), layers[-1].weight.shape[1])
    for i in reversed(range(len(layers))):
        layer, grad, (output, *derivative) = layers[i], grads[i], chunk.kept[i]
        if layer.head is not None and grad.head is not None:
            grad.head.addmm_(grad_out.mT, output)
            grad_x.addmm_(grad_out, layer.head)
        grad_x = grad_x.mul_(derivative[0]) if derivative else threshold_backward(grad_x, output, 0.0)
        x = layer_input(chunk.kept[i - 1][0] if i else chunk.points, chunk.directions, layer)
        grad.weight[chunk.image].addmm_(grad_x.mT, x)
        grad.bias[chunk.image].add_(grad_x.sum(0))
        if i or grad_points is not None:
            features = layer.weight[chunk.image][:, -x.shape[1] + (3 if layer.sees_directions else 0) :]
            grad_x = grad_x @ features
    if grad_points is not None:
        grad_points.copy_(grad_x)
