"""Angles on the circle."""

import math

import pytest
import torch

from gram.metrics.angles import angle_difference, circular_correlation


def test_the_shortest_turn_does_not_jump_at_a_full_turn() -> None:
    one = torch.tensor([0.1, 2 * math.pi - 0.1, 3.0, 0.0])
    other = torch.tensor([2 * math.pi - 0.1, 0.1, -3.0, 0.0])
    torch.testing.assert_close(
        angle_difference(one, other), torch.tensor([0.2, -0.2, 6.0 - 2 * math.pi, 0.0]), atol=1e-5, rtol=0
    )


def around(count: int = 200, seed: int = 0) -> torch.Tensor:
    return 2 * math.pi * torch.rand(count, generator=torch.Generator().manual_seed(seed))


def test_correlation_of_turned_mirrored_and_independent_angles_is_known() -> None:
    angles = around()
    assert circular_correlation(angles, (angles + 2.0) % (2 * math.pi)) == pytest.approx(1.0, abs=1e-6)
    assert circular_correlation(angles, math.pi - angles) == pytest.approx(-1.0, abs=1e-6)
    assert abs(circular_correlation(angles, around(seed=1))) < 0.1


def test_for_small_angles_it_is_pearsons() -> None:
    rng = torch.Generator().manual_seed(0)
    one = 0.02 * torch.randn(300, generator=rng)
    other = 1.5 + 0.5 * one + 0.01 * torch.randn(300, generator=rng)
    pearson = float(torch.corrcoef(torch.stack([one, other]))[0, 1])
    assert circular_correlation(one, other) == pytest.approx(pearson, abs=2e-3)


def test_a_constant_has_no_correlation() -> None:
    assert math.isnan(circular_correlation(around(), torch.ones(200)))
