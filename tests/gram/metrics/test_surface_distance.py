"""Distances between spheres, and which points cameras see."""

import math

import numpy as np
import pytest
import torch
import trimesh

from gram.metrics.surface_distance import compare_points, visible_points

FOV = math.radians(12)
FRONT = torch.full((1, 2), math.pi / 2)
AROUND = torch.tensor([[math.pi / 2, yaw] for yaw in (0.0, math.pi / 2, math.pi, 1.5 * math.pi)])


def sphere(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    mesh.apply_translation(centre)
    return mesh


def test_spheres_around_one_centre_are_as_far_apart_as_their_radii_differ() -> None:
    found, truth = (visible_points(sphere(r), AROUND, fov=FOV) for r in (0.08, 0.09))
    distance = compare_points(found, truth, threshold=0.005)
    assert distance.chamfer == pytest.approx(0.01, rel=0.03)
    assert distance.precision == distance.recall == distance.f_score == 0.0
    within = compare_points(found, truth, threshold=0.012)
    assert within.f_score == pytest.approx(1.0, abs=1e-3)


def test_a_surface_is_its_own_match_up_to_the_spacing_of_points() -> None:
    first, second = (visible_points(sphere(0.08), AROUND, fov=FOV, seed=seed) for seed in (0, 1))
    spacing = math.sqrt(4.0 * math.pi * 0.08**2 / len(first))
    distance = compare_points(first, second, threshold=0.005)
    assert distance.chamfer == pytest.approx(0.5 * spacing, rel=0.1)  # of random points in a plane
    assert distance.f_score == 1.0
    assert compare_points(first, first, threshold=0.005).chamfer == 0.0


def test_half_a_surface_is_precise_but_not_complete() -> None:
    truth = visible_points(sphere(0.08), AROUND, fov=FOV)
    half = truth[truth[:, 1] > 0.0]
    distance = compare_points(half, truth, threshold=0.002)
    assert distance.precision == 1.0
    assert distance.recall == pytest.approx(0.5, abs=0.03)
    assert distance.f_score == pytest.approx(2.0 / 3.0, abs=0.03)


def test_distances_of_two_points_are_exact() -> None:
    distance = compare_points(np.zeros((1, 3)), np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]), threshold=1.0)
    assert distance.chamfer == pytest.approx((1.0 + 3.0) / 2.0)
    assert (distance.precision, distance.recall) == (1.0, 0.5)


def test_a_camera_sees_the_side_that_faces_it() -> None:
    """Of a sphere of radius r at distance 1, the cap beyond z = r^2: (1 - r) / 2 of its surface."""
    points = visible_points(sphere(0.08), FRONT, fov=FOV, count=20_000)
    assert points[:, 2].min() == pytest.approx(0.08**2, abs=3e-3)
    assert len(points) / 20_000 == pytest.approx((1.0 - 0.08) / 2.0, abs=0.015)


def test_what_is_hidden_or_outside_of_the_picture_is_not_seen() -> None:
    hidden = sphere(0.02, (0.0, 0.0, -0.05))
    beside = sphere(0.02, (0.3, 0.0, 0.0))
    scene = trimesh.util.concatenate([sphere(0.08), hidden, beside])
    assert isinstance(scene, trimesh.Trimesh)
    points = visible_points(scene, FRONT, fov=FOV)
    assert points[:, 0].max() < 0.1
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.08, rtol=5e-3)


def test_the_same_seed_gives_the_same_points() -> None:
    first, again, other = (visible_points(sphere(0.08), FRONT, fov=FOV, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:10], other[:10])


def test_surfaces_without_points_are_refused() -> None:
    points = np.zeros((1, 3))
    with pytest.raises(ValueError, match="The reconstructed surface has no points"):
        compare_points(np.zeros((0, 3)), points, threshold=0.01)
    with pytest.raises(ValueError, match="The true surface has no points"):
        compare_points(points, np.zeros((0, 3)), threshold=0.01)
    with pytest.raises(ValueError, match="no triangles"):
        visible_points(trimesh.Trimesh(), FRONT, fov=FOV)
