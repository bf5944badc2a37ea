"""Lattices, sampling and the choice of a level."""

import numpy as np
import pytest
import torch

from gram.meshing.fields import Lattice, check_level, choose_level, sample_field


def test_lattice_spans_the_box_with_points_on_its_sides():
    lattice = Lattice.over([[-1.0, 1.0], [0.0, 1.0], [2.0, 2.5]], resolution=9)
    points = lattice.points(0, int(np.prod(lattice.shape)))
    assert lattice.shape == (9, 5, 3)
    np.testing.assert_allclose(lattice.spacing, 0.25)
    np.testing.assert_allclose(points.min(dim=0).values, [-1, 0, 2])
    np.testing.assert_allclose(points.max(dim=0).values, [1, 1, 2.5])


def test_value_belongs_to_its_point(box):
    weights = torch.tensor([1.0, 10.0, 100.0])
    lattice = Lattice.over(box, resolution=5)
    values = sample_field(lambda points: points @ weights, lattice)
    axis = np.linspace(-0.12, 0.12, 5)
    expected = axis[:, None, None] + 10 * axis[:, None] + 100 * axis
    np.testing.assert_allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
def test_chunks_do_not_change_the_values(box, ball, chunk):
    lattice = Lattice.over(box, resolution=5)
    sizes = []

    def field(points):
        sizes.append(len(points))
        return ball(0.08)(points)

    np.testing.assert_allclose(
        sample_field(field, lattice, chunk=chunk), sample_field(ball(0.08), lattice), atol=1e-6
    )
    assert max(sizes) <= chunk
    assert sum(sizes) == 125


def test_progress_ends_at_the_number_of_points(box, ball):
    calls = []
    sample_field(
        ball(0.08), Lattice.over(box, resolution=4), chunk=30, progress=lambda *call: calls.append(call)
    )
    assert calls == [(30, 64), (60, 64), (64, 64)]


def test_field_is_sampled_without_gradients(box):
    weight = torch.ones(3, requires_grad=True)
    seen = []

    def field(points):
        found = points @ weight
        seen.append(found.requires_grad)
        return found

    sample_field(field, Lattice.over(box, resolution=3))
    assert seen == [False]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.2), (-3.0, 5.0)])
def test_chosen_level_is_half_way(low, high):
    assert choose_level(np.linspace(low, high, 27).reshape(3, 3, 3)) == pytest.approx((low + high) / 2)


def test_constant_field_has_no_level():
    with pytest.raises(ValueError, match=r"0\.5 everywhere in the box"):
        choose_level(np.full((3, 3, 3), 0.5))


@pytest.mark.parametrize("level", [-0.1, 0.0, 2.0, 2.5, float("nan")])
def test_level_outside_the_range_names_the_range(level):
    with pytest.raises(ValueError, match=r"outside the field's range in the box, 0 to 2"):
        check_level(np.arange(3.0).reshape(3, 1, 1), level)


@pytest.mark.parametrize(
    ("bounds", "resolution", "message"),
    [
        ([[-1.0, 1.0]] * 2, 8, "low, high"),
        ([[-1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]], 8, "low < high"),
        ([[-1.0, 1.0], [0.0, 0.0], [-1.0, 1.0]], 8, "low < high"),
        ([[-1.0, float("nan")], [0.0, 1.0], [-1.0, 1.0]], 8, "low < high"),
        ([[-1.0, 1.0]] * 3, 1, "at least 2 points"),
    ],
)
def test_unusable_boxes_are_refused(bounds, resolution, message):
    with pytest.raises(ValueError, match=message):
        Lattice.over(bounds, resolution=resolution)


def test_field_of_the_wrong_shape_is_refused(box):
    with pytest.raises(ValueError, match=r"shape \(27, 1\) for 27 points"):
        sample_field(lambda points: points[:, :1], Lattice.over(box, resolution=3))


def test_field_that_is_not_finite_is_refused(box):
    with pytest.raises(ValueError, match="not finite at 9 of 27 points"):
        sample_field(lambda points: 1 / points[:, 0], Lattice.over(box, resolution=3))
