"""Intersections of rays with the isosurfaces of a scalar field (GRAM, section 3.2).

A surface S_l = {x | s(x) = l} is met at the FIRST decreasing crossing of its level: the first interval k
of `num_samples` evenly spaced points on the ray with s_k >= l >= s_{k+1}. That search runs without
autograd; only the few points that decide a hit are evaluated again with gradient. Rays carry no gradient.

Modes, from a bracket to an intersection:
- `linear`, as published: linear interpolation between the two ends of the bracket.
- `refined`: a bracketed root (Chandrupatla's method), with the exact gradient of the implicit function,
  dt/dtheta = -(ds/dtheta) / (grad_x s . d).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.ops.backend import Backend, backend_of
from gram.rendering.root_finding import chandrupatla
from gram.shapes import Bool, Float, Int


@runtime_checkable
class ScalarField(Protocol):
    """Scalar field: points (..., 3) to values (...)."""

    def __call__(self, points: Tensor, /) -> Tensor: ...

    def along(self, rays: Rays, t: Float[Tensor, " k"]) -> Float[Tensor, "*rays k"]:
        """Evaluate at the same distances along every ray, without gradient."""
        ...

    def with_gradient(
        self, points: Float[Tensor, "*batch 3"], values: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Attach the field's gradient to `values`, its values at the points as evaluated before."""
        ...


class FunctionField:
    """Scalar field of a function of points."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def __call__(self, points: Tensor, /) -> Tensor:
        return self._function(points)

    def along(self, rays: Rays, t: Float[Tensor, " k"]) -> Float[Tensor, "*rays k"]:
        """Evaluate at the same distances along every ray."""
        return self._function(rays.at(t.expand(*rays.origins.shape[:-1], len(t))))

    def with_gradient(
        self, points: Float[Tensor, "*batch 3"], values: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Evaluate again, with gradient."""
        return self._function(points)


Mode = Literal["linear", "refined"]

MIN_DIFFERENCE = 0.05
"""Least difference across a bracket that is interpolated; below, its far end is the hit (as published)."""
ROOT_TOLERANCE = 1e-6
"""Precision of a refined root, as a fraction of far - near."""
MIN_COSINE = 1e-3
"""Least cosine between ray and surface normal in refined gradients; grazing rays count as this one."""


class Intersections(NamedTuple):
    """Distances of the intersections and mask of hits; `t` of a miss is `far`."""

    t: Float[Tensor, "*rays levels"]
    hit: Bool[Tensor, "*rays levels"]


class _Brackets(NamedTuple):
    start: Int[Tensor, "*rays levels"]  # k: the crossing lies between points k and k + 1
    hit: Bool[Tensor, "*rays levels"]


def intersect(
    field: ScalarField,
    rays: Rays,
    levels: Float[Tensor, " levels"],
    *,
    near: float,
    far: float,
    num_samples: int,
    mode: Mode = "linear",
    backend: Backend | None = None,
) -> Intersections:
    """Find the first decreasing crossing of every level on every ray.

    Args:
        field: the scalar field, a function as `FunctionField(function)`; gradients reach its parameters.
        rays: (..., 3), unit directions, without gradient.
        levels: values of the isosurfaces, any order.
        near: start of the search, distance along the ray.
        far: end of the search.
        num_samples: points of the search per ray, both ends included.
        mode: `linear` or `refined`.
        backend: choice of algorithms; None is that of the device of the levels.

    Raises:
        ValueError: unknown mode, or fewer than two samples.

    Example:
        >>> rays = Rays(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, -1.0]]))
        >>> def sphere(points):  # decreases along the ray, crosses -0.25 at a radius of 0.5
        ...     return points.square().sum(-1) * points[..., 2].sign() - 0.5
        >>> level = torch.tensor([-0.25])
        >>> field = FunctionField(sphere)
        >>> hits = intersect(field, rays, level, near=0.0, far=1.0, num_samples=64, mode="refined")
        >>> hits.hit.item(), round(hits.t.item(), 4)
        (True, 0.5)
    """
    if mode not in get_args(Mode):
        raise ValueError(f"intersection mode {mode!r} is unknown: use one of {', '.join(get_args(Mode))}")
    if num_samples < 2:
        raise ValueError(f"num_samples = {num_samples}: a crossing needs at least 2 points on the ray")
    backend = backend or backend_of(levels.device)
    # search without gradient: (..., points) values, (..., levels) brackets
    grid = torch.linspace(near, far, num_samples, dtype=levels.dtype, device=levels.device)
    t = grid.expand(*rays.origins.shape[:-1], num_samples)
    with torch.no_grad():
        values = field.along(rays, grid)
        brackets = _first_decreasing_crossings(values, levels, backend)
    # distance inside the bracket, with gradient
    if mode == "linear":
        found = _interpolate(field, rays, levels, t, values, brackets, backend)
    else:
        found = _refine(field, rays, levels, t, values, brackets)
    return Intersections(torch.where(brackets.hit, found, far), brackets.hit)


def _first_decreasing_crossings(
    values: Float[Tensor, "*rays points"], levels: Float[Tensor, " levels"], backend: Backend
) -> _Brackets:
    if backend.has_kernels_for(values):
        from gram.ops.kernels.crossings import first_crossings

        return _Brackets(*first_crossings(values, levels))
    above = values[..., None, :] >= levels[:, None]  # (..., levels, points)
    at_or_below = values[..., None, 1:] <= levels[:, None]
    crossing = above[..., :-1] & at_or_below
    # argmax of booleans is the first True; bytes are the fastest type that argmax takes
    index = crossing.to(torch.uint8).argmax(dim=-1)
    return _Brackets(index, crossing.any(dim=-1))


def _interpolate(
    field: ScalarField,
    rays: Rays,
    levels: Float[Tensor, " levels"],
    t: Float[Tensor, "*rays points"],
    values: Float[Tensor, "*rays points"],
    brackets: _Brackets,
    backend: Backend,
) -> Float[Tensor, "*rays levels"]:
    """Interpolate linearly; with gradient, both ends of a bracket are evaluated again."""
    if not torch.is_grad_enabled():
        start, end = values.gather(-1, brackets.start), values.gather(-1, brackets.start + 1)
    elif not backend.host_sync:
        start, end = _ends_with_gradient(field, rays, t, values, brackets)
    else:
        # ends of hits, each once: their number is known after a host synchronisation
        hit = brackets.hit.int()
        uses = torch.zeros_like(values, dtype=torch.int32)
        ends = uses.scatter_add_(-1, brackets.start, hit).scatter_add_(-1, brackets.start + 1, hit) > 0
        values = values.masked_scatter(ends, field(rays.at(t)[ends]))
        start, end = values.gather(-1, brackets.start), values.gather(-1, brackets.start + 1)
    t_start, t_end = t.gather(-1, brackets.start), t.gather(-1, brackets.start + 1)
    difference = end - start
    steep = difference.abs() > MIN_DIFFERENCE
    fraction = (levels - start) / torch.where(steep, difference, 1.0)
    return torch.where(steep, t_start + fraction * (t_end - t_start), t_end)


def _ends_with_gradient(
    field: ScalarField,
    rays: Rays,
    t: Float[Tensor, "*rays points"],
    values: Float[Tensor, "*rays points"],
    brackets: _Brackets,
) -> tuple[Float[Tensor, "*rays levels"], Float[Tensor, "*rays levels"]]:
    """Values at both ends of every bracket, those of misses included, with gradient.

    Selecting the ends of hits needs a host synchronisation, and 23 levels have up to 46 different ends of 64
    points on a ray. In the order of the levels, neighbouring rays miss together, and kernels skip blocks of
    points without gradient. Values are known: only gradients are evaluated.
    """
    ends = (brackets.start, brackets.start + 1)
    distances, known = (
        torch.stack([of.gather(-1, k) for k in ends]).movedim(-1, 1).contiguous() for of in (t, values)
    )  # (2, levels, *rays)
    points = torch.addcmul(rays.origins, distances[..., None], rays.directions)
    start, end = field.with_gradient(points, known).movedim(1, -1).unbind(0)
    return start, end


def _refine(
    field: ScalarField,
    rays: Rays,
    levels: Float[Tensor, " levels"],
    t: Float[Tensor, "*rays points"],
    values: Float[Tensor, "*rays points"],
    brackets: _Brackets,
) -> Float[Tensor, "*rays levels"]:
    """Find the roots in the brackets of hits and attach their implicit gradient."""
    hit = brackets.hit
    origins = rays.origins[..., None, :].expand(*hit.shape, 3)[hit]
    directions = rays.directions[..., None, :].expand(*hit.shape, 3)[hit]
    level = levels.expand(hit.shape)[hit]
    tolerance = ROOT_TOLERANCE * float(t[..., -1].max() - t[..., 0].min()) if t.numel() else 0.0

    def offset(t: Tensor, rows: Tensor) -> Tensor:
        return field(torch.addcmul(origins[rows], t[:, None], directions[rows])) - level[rows]

    with torch.no_grad():
        lower = t.gather(-1, brackets.start)[hit]
        upper = t.gather(-1, brackets.start + 1)[hit]
        at_lower = values.gather(-1, brackets.start)[hit] - level
        at_upper = values.gather(-1, brackets.start + 1)[hit] - level
        root = chandrupatla(offset, lower, upper, at_lower, at_upper, tolerance)
    if torch.is_grad_enabled():
        root = _attach_implicit_gradient(field, root, origins, directions)
    return torch.zeros(hit.shape, dtype=root.dtype, device=root.device).masked_scatter(hit, root)


def _attach_implicit_gradient(
    field: ScalarField,
    root: Float[Tensor, " hits"],
    origins: Float[Tensor, "hits 3"],
    directions: Float[Tensor, "hits 3"],
) -> Float[Tensor, " hits"]:
    points = torch.addcmul(origins, root[:, None], directions).requires_grad_()
    values = field(points)
    (gradient,) = torch.autograd.grad(values.sum(), points, retain_graph=True)
    slope = (gradient * directions).sum(-1)
    slope = torch.minimum(slope, -MIN_COSINE * gradient.norm(dim=-1).clamp_min(1e-12))
    return root - (values - values.detach()) / slope
