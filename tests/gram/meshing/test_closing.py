"""Closing fills what a ball has no room in, and nothing else."""

import numpy as np
import pytest
import torch

from gram.meshing import extract_surface
from gram.meshing.surface import close_pits

CELL = 0.24 / 47
FILL = 0.015
"""Three cells."""


def plate_with_a_pit(radius: float):
    """The half of the box below z = 0, with a vertical hole."""

    def field(points: torch.Tensor) -> torch.Tensor:
        beside = points[:, :2].norm(dim=-1) - radius
        return torch.minimum(-points[:, 2], beside)

    return field


@pytest.mark.parametrize("radius, filled", [(0.008, True), (0.012, True), (0.024, False)])
def test_a_pit_is_filled_if_the_ball_does_not_fit_in(box, radius: float, filled: bool) -> None:
    field = plate_with_a_pit(radius)
    before = extract_surface(field, bounds=box, resolution=48, level=0.0)
    after = extract_surface(field, bounds=box, resolution=48, level=0.0, fill=FILL)
    whole = extract_surface(plate_with_a_pit(-1.0), bounds=box, resolution=48, level=0.0)
    assert before.volume < whole.volume - 0.5 * np.pi * radius**2 * 0.12
    wanted = whole if filled else before
    assert after.volume == pytest.approx(wanted.volume, abs=0.1 * (whole.volume - before.volume))


def test_what_is_convex_stays_where_it_is(box, ball) -> None:
    before = extract_surface(ball(0.08), bounds=box, resolution=48, level=0.5)
    after = extract_surface(ball(0.08), bounds=box, resolution=48, level=0.5, fill=FILL)
    radii = np.linalg.norm(after.vertices, axis=1)
    assert np.abs(radii - 0.08).max() < 0.2 * CELL
    assert after.volume == pytest.approx(before.volume, rel=0.01)


def test_a_gap_between_two_parts_joins_them(box) -> None:
    def field(points: torch.Tensor) -> torch.Tensor:
        gap = points[:, 0].abs() - 0.008
        return torch.minimum(gap, 0.06 - points.norm(dim=-1))

    assert extract_surface(field, bounds=box, resolution=48, level=0.0).body_count == 2
    assert extract_surface(field, bounds=box, resolution=48, level=0.0, fill=FILL).body_count == 1


@pytest.mark.parametrize("cells", [0, 1, 2, 5])
def test_no_value_falls_and_once_is_enough(cells: int) -> None:
    values = np.pad(np.random.default_rng(0).normal(size=(7, 6, 5)), 2 * cells)
    closed = close_pits(values, cells)
    assert closed.shape == values.shape
    assert (closed >= values).all()
    assert (closed == values).all() == (cells == 0)
    np.testing.assert_array_equal(close_pits(closed, cells), closed)  # there is nothing left to fill


@pytest.mark.parametrize("cells", [2, 4, 6, 8])
def test_what_fills_is_about_a_ball(cells: int) -> None:
    size = 4 * cells + 5
    offsets = np.stack(np.meshgrid(*[np.arange(size) - size // 2] * 3, indexing="ij"), axis=-1)
    distance = np.linalg.norm(offsets, axis=-1)
    for radius, filled in ((0.85 * cells, True), (1.1 * cells + 1.0, False)):
        hollow = np.where(distance < radius, 0.0, 1.0)
        assert (close_pits(hollow, cells)[(size // 2,) * 3] == 1.0) == filled
