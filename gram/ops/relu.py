"""ReLU networks on devices other than a CPU: only inputs are kept for the backward pass.

Autograd keeps every activation: gigabytes for the ends of all brackets of one large image. Here the backward
pass evaluates a chunk of points at a time again, by Triton kernels or by `gram.ops.reference.evaluate_plain`.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gram.geometry.cameras import Rays
from gram.ops.backend import Backend, backend_of, shared_memory
from gram.ops.reference import Layer, evaluate_plain, flatten, unflatten
from gram.shapes import Float

CHUNK = 2**18
"""Points per chunk: at width 128, the activations of a layer are 128 MiB."""


def evaluate_relu(
    points: Float[Tensor, "batch n 3"],
    layers: Sequence[Layer],
    *,
    directions: Float[Tensor, "batch n 3"] | None = None,
    known: Float[Tensor, "batch n outputs"] | None = None,
    backend: Backend | None = None,
) -> Float[Tensor, "batch n outputs"]:
    """Outputs of `gram.ops.mlp.evaluate` for ReLU networks, differentiable once.

    Args:
        points: input of the first layer.
        layers: in order; all heads have the same number of outputs, and the last layer has one.
        directions: further input of the layers that see them; gets no gradient.
        known: outputs evaluated before; they are returned, and only gradients are computed.
        backend: choice of algorithms; None is that of the points' device.
    """
    weights, sees = flatten(layers)
    return _Evaluate.apply(points, directions, known, backend or backend_of(points.device), sees, *weights)


@torch.no_grad()
def evaluate_along(
    rays: Rays,
    t: Float[Tensor, " k"],
    layers: Sequence[Layer],
    *,
    scale: float,
    centre: Float[Tensor, "3"],
    backend: Backend | None = None,
) -> Float[Tensor, "*rays k"] | None:
    """Outputs at (origin + t direction) scale - centre for every t on every ray, with no point in memory.

    None without a kernel for the network. Without gradient.
    """
    if not _has_kernel(t, layers, backend or backend_of(t.device)):
        return None
    from gram.ops.kernels.relu_field import values_along

    origins, directions = rays.origins.reshape(-1, 3), rays.directions.reshape(-1, 3)
    values = values_along(origins, directions, t, _prepared(layers), scale=scale, centre=centre)
    return values.view(*rays.origins.shape[:-1], len(t))


class _Evaluate(torch.autograd.Function):
    """Recomputation in the backward pass; arguments after the settings are those of `flatten`."""

    @staticmethod
    def forward(ctx, points, directions, known, backend, sees, *weights):
        layers = unflatten(weights, sees)
        ctx.save_for_backward(points, directions, *weights)
        ctx.settings = backend, sees
        if known is not None:
            return known.clone()
        if _has_kernel(points, layers, backend):
            from gram.ops.kernels.relu_field import values_at

            return values_at(points[0], _prepared(layers))[None, :, None]
        with _full_precision(points.device):
            parts = [evaluate_plain(points[:, rows], layers, "relu", directions=_rows(directions, rows))
                     for rows in _chunks(points)]  # fmt: skip
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # pyright: ignore[reportIncompatibleMethodOverride]
        points, directions, *weights = ctx.saved_tensors
        backend, sees = ctx.settings
        layers = unflatten(weights, sees)
        into_points, _, _, _, _, *wanted = ctx.needs_input_grad
        if _has_kernel(points, layers, backend):
            grad_points, grads = _gradients_by_kernel(points, layers, grad_out, into_points)
        else:
            with _full_precision(points.device):
                grad_points, grads = _gradients(points, directions, layers, grad_out, [into_points, *wanted])
        return grad_points, None, None, None, None, *grads


def _gradients(
    points: Tensor, directions: Tensor | None, layers: Sequence[Layer], grad_out: Tensor, wanted: list[bool]
) -> tuple[Tensor | None, list[Tensor | None]]:
    """Gradients of the points and of all weights, by autograd through one chunk after the other."""
    grad_points = torch.zeros_like(points) if wanted[0] else None
    given, sees = flatten(layers)
    weights = [None if w is None else w.detach().requires_grad_(wanted[i + 1]) for i, w in enumerate(given)]
    layers = unflatten(weights, sees)
    leaves = [w for w in weights if w is not None and w.requires_grad]
    totals = [torch.zeros_like(leaf) for leaf in leaves]
    for rows in _chunks(points):
        some = points[:, rows].detach().requires_grad_(wanted[0])
        with torch.enable_grad():
            out = evaluate_plain(some, layers, "relu", directions=_rows(directions, rows))
        grads = torch.autograd.grad(out, [*leaves, some] if wanted[0] else leaves, grad_out[:, rows])
        for total, grad in zip(totals, grads, strict=False):
            total += grad
        if grad_points is not None:
            grad_points[:, rows] = grads[-1]
    of_leaves = iter(totals)
    return grad_points, [None if w is None or not w.requires_grad else next(of_leaves) for w in weights]


def _has_kernel(points: Tensor, layers: Sequence[Layer], backend: Backend) -> bool:
    """True if kernels take the network: one output behind two or three layers, with weights of one image."""
    if not backend.has_kernels_for(points):
        return False
    from gram.ops.kernels.relu_field import HIDDEN_LAYERS, shared_memory_for

    *inner, last = layers
    plain = all(layer.head is None for layer in inner) and not any(layer.sees_directions for layer in layers)
    one = plain and len(last.weight) == 1 and last.head is not None and len(last.head) == 1
    if not one or len(layers) not in HIDDEN_LAYERS:
        return False
    width = max(layer.weight.shape[1] for layer in layers)
    return shared_memory_for(width, len(layers)) <= shared_memory(points.device)


def _prepared(layers: Sequence[Layer]):  # the type of its result is known where Triton is
    from gram.ops.kernels.relu_field import prepare

    head = layers[-1].head
    assert head is not None
    return prepare([layer.weight[0] for layer in layers], [layer.bias[0] for layer in layers], head)


def _gradients_by_kernel(
    points: Tensor, layers: Sequence[Layer], grad_out: Tensor, into_points: bool
) -> tuple[Tensor | None, list[Tensor | None]]:
    from gram.ops.kernels.relu_gradient import gradients

    found = gradients(points[0], grad_out[0, :, 0], _prepared(layers), into_points=into_points)
    grads: list[Tensor | None] = []
    for layer, weight, bias in zip(layers, found.weights, found.biases, strict=True):
        width, inputs = layer.weight.shape[1:]
        head = None if layer.head is None else found.head[None, :width]
        grads += [weight[None, :width, :inputs], bias[None, :width], head]
    return None if found.points is None else found.points[None], grads


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def _rows(tensor: Tensor | None, rows: slice) -> Tensor | None:
    return None if tensor is None else tensor[:, rows]


def _chunks(points: Tensor) -> Iterator[slice]:
    step = max(1, CHUNK // len(points))
    for start in range(0, max(points.shape[1], 1), step):
        yield slice(start, start + step)
