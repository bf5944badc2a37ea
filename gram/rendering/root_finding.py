"""Bracketed root finding for many functions of one variable at once."""

from collections.abc import Callable

import torch
from torch import Tensor

from gram.shapes import Float


def chandrupatla(
    offset: Callable[[Tensor, Tensor], Tensor],
    lower: Float[Tensor, " roots"],
    upper: Float[Tensor, " roots"],
    at_lower: Float[Tensor, " roots"],
    at_upper: Float[Tensor, " roots"],
    tolerance: float,
    max_iterations: int = 64,
) -> Float[Tensor, " roots"]:
    """Find roots bracketed by [lower, upper] (Chandrupatla 1997, doi 10.1016/S0965-9978(96)00051-8).

    Inverse quadratic interpolation where it is safe, else bisection; converged rows are dropped.
    `offset(t, rows)` evaluates the functions of the given rows.
    """
    root = torch.where(at_lower.abs() < at_upper.abs(), lower, upper)
    rows = torch.arange(len(lower), device=lower.device)
    b, f_b, a, f_a = lower, at_lower, upper, at_upper
    step = torch.full_like(lower, 0.5)
    for _ in range(max_iterations):
        t = a + step * (b - a)
        f_t = offset(t, rows)
        same_side = torch.sign(f_t) == torch.sign(f_a)
        c, f_c = torch.where(same_side, a, b), torch.where(same_side, f_a, f_b)
        b, f_b = torch.where(same_side, b, a), torch.where(same_side, f_b, f_a)
        a, f_a = t, f_t
        best = torch.where(f_a.abs() < f_b.abs(), a, b)
        root[rows] = best
        active = ((b - a).abs() > tolerance) & (f_a != 0) & (f_b != 0)
        if not active.any():
            break
        rows, a, b, c, f_a, f_b, f_c = (v[active] for v in (rows, a, b, c, f_a, f_b, f_c))
        step = _next_step(a, b, c, f_a, f_b, f_c, tolerance)
    return root


def _next_step(
    a: Tensor, b: Tensor, c: Tensor, f_a: Tensor, f_b: Tensor, f_c: Tensor, tolerance: float
) -> Float[Tensor, " roots"]:
    """Next trial point, as a fraction of the way from a to b."""
    xi = (a - b) / (c - b)
    phi = (f_a - f_b) / (f_c - f_b)
    safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
    inverse_quadratic = f_a / (f_b - f_a) * f_c / (f_b - f_c) + (c - a) / (b - a) * f_a / (
        f_c - f_a
    ) * f_b / (f_c - f_b)
    margin = (0.5 * tolerance / (b - a).abs()).clamp(max=0.5)
    step = torch.where(safe, inverse_quadratic, 0.5)
    return torch.minimum(torch.maximum(step, margin), 1 - margin)
