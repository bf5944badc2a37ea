"""Roots of functions whose roots are known."""

import torch
from torch import Tensor

from gram.rendering.root_finding import chandrupatla

TOLERANCE = 1e-9


def test_roots_of_many_cubics_are_found_at_once() -> None:
    exact = torch.linspace(0.05, 0.95, 50, dtype=torch.float64)
    evaluations: list[int] = []

    def offset(t: Tensor, rows: Tensor) -> Tensor:
        evaluations.append(len(rows))
        return exact[rows] ** 3 - t**3

    lower, upper = torch.zeros_like(exact), torch.ones_like(exact)
    root = chandrupatla(offset, lower, upper, exact**3, exact**3 - 1.0, TOLERANCE)
    assert (root - exact).abs().max() < TOLERANCE
    assert sum(evaluations) < 50 * 12  # bisection alone takes 30 each
    assert sorted(evaluations, reverse=True) == evaluations  # rows leave as they converge


def test_a_root_at_an_end_of_its_bracket_is_found() -> None:
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    root = chandrupatla(
        lambda t, rows: ends[rows] - t,
        torch.zeros(2).double(), torch.ones(2).double(), ends, ends - 1.0, TOLERANCE,
    )  # fmt: skip
    torch.testing.assert_close(root, ends, rtol=0, atol=TOLERANCE)


def test_no_functions_have_no_roots() -> None:
    none = torch.zeros(0)
    assert chandrupatla(lambda t, rows: t, none, none, none, none, TOLERANCE).shape == (0,)


def test_a_jump_is_located_by_bisection() -> None:
    jump = torch.tensor([0.3], dtype=torch.float64)
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    root = chandrupatla(lambda t, rows: torch.where(t < jump[rows], one, -one), zero, one, one, -one, 1e-6)
    assert abs(float(root - jump)) < 1e-6
