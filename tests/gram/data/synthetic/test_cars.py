"""Procedural cars: closed, on their wheels, and inside the picture."""

from functools import cache

import numpy as np
import pytest
import trimesh

from gram.data.synthetic.cars.car import RADIUS, Car, make_car
from gram.data.synthetic.cars.mesh import BODY, WHEEL, body_mesh, build_mesh, half_width
from gram.data.synthetic.cars.shape import ARCH, BODY_TYPES, draw_shape
from gram.data.synthetic.raycaster import render, render_depth

FOV = float(np.deg2rad(30.0))
VIEWS = [(np.pi / 2, np.pi / 2), (1.2, 0.3), (0.9, -2.0), (0.05, 1.0), (1.55, 3.1)]


@cache
def cars(count: int = 24) -> list[Car]:
    return [make_car((7, k)) for k in range(count)]


def test_same_seed_gives_the_same_picture_and_another_seed_another():
    first, again, other = (render(make_car(seed), pose=VIEWS[1], size=16, fov=FOV) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 3


def test_every_body_type_occurs():
    assert {draw_shape(np.random.default_rng(seed)).kind for seed in range(60)} == set(BODY_TYPES)


def test_every_part_is_closed_and_faces_outwards():
    for car in cars(8):
        mesh, part = build_mesh(car.shape)
        for piece in trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False).split(
            only_watertight=False
        ):
            assert piece.is_watertight and piece.is_winding_consistent and piece.volume > 0
        assert (part == WHEEL).any() and (part == BODY).any()


def test_wheels_are_flush_with_the_body():
    for car in cars():
        mesh, part = build_mesh(car.shape)
        wheels = mesh.vertices[np.unique(mesh.triangles[part == WHEEL])]
        for axle in car.shape.axles:
            near = np.abs(wheels[:, 2] - axle) < 1.01 * car.shape.wheel_radius
            side = half_width(car.shape, np.array([0.5 - axle / car.shape.length]))[0]
            assert np.abs(wheels[near, 0]).max() == pytest.approx(side, abs=0.02)


def test_wheel_arches_end_below_the_hood_and_the_deck():
    for car in cars():
        body = body_mesh(car.shape)
        for axle in car.shape.axles:
            section = body.vertices[np.abs(body.vertices[:, 2] - axle) < 0.03 * car.shape.length]
            assert (1 + ARCH) * car.shape.wheel_radius < section[:, 1].max()


def test_cars_stand_on_the_ground():
    for car in cars():
        _, part = build_mesh(car.shape)
        heights = car.local[:, 1]
        assert heights.min() == pytest.approx(0.0, abs=1e-9)
        lowest = car.mesh.triangles[heights[car.mesh.triangles].min(1) < 1e-9]
        assert len(lowest) and (part[heights[car.mesh.triangles].min(1) < 1e-9] == WHEEL).all()


def test_every_car_fills_the_sphere_exactly():
    for car in cars():
        assert np.linalg.norm(car.mesh.vertices, axis=1).max() == pytest.approx(RADIUS)


@pytest.mark.parametrize("pose", VIEWS)
def test_cars_stay_inside_the_picture_and_the_range_of_distances(pose):
    for car in cars(8):
        depth = render_depth(car.mesh, pose=pose, size=32, fov=FOV)
        border = np.concatenate([depth[0], depth[-1], depth[:, 0], depth[:, -1]])
        assert np.isnan(border).all()
        assert 0.7 < np.nanmin(depth) and np.nanmax(depth) < 1.3
        assert 0.05 < np.isfinite(depth).mean() < 0.6


def test_background_is_pure_white():
    car = cars()[0]
    image = render(car, pose=VIEWS[1], size=32, fov=FOV)
    assert (image[0] == 255).all() and (image[:, 0] == 255).all()
    assert (image < 250).all(2).sum() > 80


def test_cars_face_towards_positive_z():
    for car in cars():
        assert car.shape.axles[0] > 0 > car.shape.axles[1]
        hood = car.local[(car.local[:, 2] > 0.35 * car.shape.length)]
        assert hood[:, 1].max() < 0.85 * car.shape.height
