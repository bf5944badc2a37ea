"""Surfaces at known distances from the truth."""

import math

import pytest
import torch

from gram.metrics.surface_depth import surface_depth

T = torch.tensor([0.90, 0.95, 1.00, 1.12]).expand(5, 4)
HIT = torch.ones(5, 4, dtype=torch.bool)
WEIGHTS = torch.tensor([0.1, 0.6, 0.2, 0.1]).expand(5, 4)


@pytest.mark.parametrize("distance", [-0.02, 0.0, 0.01])
def test_the_distance_of_the_heaviest_surface_is_known(distance: float) -> None:
    found = surface_depth(T, HIT, WEIGHTS, torch.full((5,), 0.95 - distance))
    assert found.heaviest == pytest.approx(abs(distance), abs=1e-6)
    assert found.bias == pytest.approx(distance, abs=1e-6)
    assert found.nearest == pytest.approx(abs(distance), abs=1e-6)


def test_the_nearest_surface_may_be_another_than_the_heaviest() -> None:
    found = surface_depth(T, HIT, WEIGHTS, torch.full((5,), 0.99))
    assert found.heaviest == pytest.approx(0.04, abs=1e-6)
    assert found.nearest == pytest.approx(0.01, abs=1e-6)


def test_a_surface_that_is_missed_is_not_the_nearest() -> None:
    hit = HIT.clone()
    hit[:, 2] = False
    assert surface_depth(T, hit, WEIGHTS, torch.full((5,), 0.99)).nearest == pytest.approx(0.04, abs=1e-6)


def test_errors_on_both_sides_cancel_in_the_bias_alone() -> None:
    truth = torch.tensor([0.93, 0.97, 0.93, 0.97, math.nan])
    found = surface_depth(T, HIT, WEIGHTS, truth)
    assert found.heaviest == pytest.approx(0.02, abs=1e-6)
    assert found.bias == pytest.approx(0.0, abs=1e-6)


def test_without_truth_there_is_no_number() -> None:
    assert all(map(math.isnan, surface_depth(T, HIT, WEIGHTS, torch.full((5,), math.nan))))


def test_a_ray_that_meets_nothing_tells_nothing() -> None:
    hit, weights = HIT.clone(), WEIGHTS.clone()
    hit[0], weights[0] = False, 0.0
    truth = torch.full((5,), 0.94)
    truth[0] = 0.5
    assert surface_depth(T, hit, weights, truth).heaviest == pytest.approx(0.01, abs=1e-6)
