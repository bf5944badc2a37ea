"""Fewer triangles, the same surface."""

import math

import numpy as np
import pytest
import torch
import trimesh

from gram.meshing import decimate, extract_surface, why_not_watertight


@pytest.fixture(scope="module")
def sphere(box, ball):
    return extract_surface(ball(0.08), bounds=box, resolution=48, level=0.5)


def folds(mesh):
    """Triangles that lie on another: the same three places."""
    corners = np.sort(mesh.faces, axis=1)
    return len(corners) - len(np.unique(corners, axis=0))


@pytest.mark.parametrize("budget", [2000, 300, 20])
def test_budget_is_met_and_nearly_used(sphere, budget):
    small = decimate(sphere, budget)
    assert 0.9 * budget <= len(small.faces) <= budget
    assert why_not_watertight(small) is None
    assert small.volume > 0
    assert len(np.unique(small.faces)) == len(small.vertices)


def test_shape_is_kept(sphere):
    small = decimate(sphere, 1000)
    assert np.abs(np.linalg.norm(small.vertices, axis=1) - 0.08).max() < 5e-4
    assert small.volume == pytest.approx(4 / 3 * math.pi * 0.08**3, rel=1e-2)
    outward = small.vertices / np.linalg.norm(small.vertices, axis=1, keepdims=True)
    assert (small.vertex_normals * outward).sum(axis=1).min() > 0.99


def test_level_is_kept_and_the_mesh_given_is_left_alone(sphere):
    before = len(sphere.faces)
    assert decimate(sphere, 100).metadata["level"] == 0.5
    assert len(sphere.faces) == before


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [2000, 500, 100])
def test_rough_surfaces_stay_closed(seed, budget):
    values = torch.rand(13**3, generator=torch.Generator().manual_seed(seed))
    rough = extract_surface(lambda _: values, bounds=[[-1.0, 1.0]] * 3, resolution=13, level=0.5)
    small = decimate(rough, budget)
    assert len(small.faces) <= budget
    assert why_not_watertight(small) is None
    assert folds(small) == 0
    assert small.area_faces.min() > 1e-9 * small.area_faces.mean()


def test_rough_surfaces_stay_closed_for_programs_that_merge_vertices():
    values = torch.rand(13**3, generator=torch.Generator().manual_seed(0))
    rough = extract_surface(lambda _: values, bounds=[[-1.0, 1.0]] * 3, resolution=13, level=0.5)
    small = decimate(rough, 500)
    merged = trimesh.Trimesh(small.vertices.astype(np.float32), small.faces, process=True)
    assert why_not_watertight(merged) is None


def test_a_torus_keeps_its_hole(box):
    def torus(points):
        ring = (points[:, :2].norm(dim=-1) - 0.07).square() + points[:, 2].square()
        return 0.03 - ring.sqrt()

    small = decimate(extract_surface(torus, bounds=box, resolution=48, level=0.0), 200)
    assert why_not_watertight(small) is None
    assert small.euler_number == 0


def test_doubled_and_degenerate_triangles_are_dropped():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.08)
    fin = [[0, 1, 2], [1, 0, 2], [3, 3, 4]]
    dirty = trimesh.Trimesh(ball.vertices, np.concatenate([ball.faces, fin]), process=False)
    clean = decimate(dirty, 1000)
    assert len(clean.faces) == len(ball.faces)
    assert why_not_watertight(clean) is None


def test_an_open_surface_is_made_smaller_too():
    grid = trimesh.creation.box(extents=(1, 1, 1)).subdivide_loop(3)
    lid = trimesh.Trimesh(grid.vertices, grid.faces[grid.triangles_center[:, 2] > 0], process=False)
    small = decimate(lid, 100)
    assert 0 < len(small.faces) <= 100


def test_a_surface_within_its_budget_keeps_its_shape(sphere):
    same = decimate(sphere, 10**6)
    assert len(same.faces) == len(sphere.faces)
    assert same.volume == pytest.approx(sphere.volume, rel=1e-6)


@pytest.mark.parametrize("budget", [-1, 0, 3])
def test_a_budget_that_no_closed_surface_meets_is_refused(sphere, budget):
    with pytest.raises(ValueError, match=f"A budget of {budget} triangles is too small.* at least 4"):
        decimate(sphere, budget)


def test_a_budget_that_this_surface_cannot_meet_is_refused():
    """Three balls have twelve triangles at least."""
    balls = [trimesh.creation.icosphere(subdivisions=2, radius=0.02) for _ in range(3)]
    for x, ball in enumerate(balls):
        ball.apply_translation([x, 0, 0])
    three = trimesh.util.concatenate(balls)
    assert isinstance(three, trimesh.Trimesh)
    with pytest.raises(ValueError, match="does not stay closed with a budget of 4"):
        decimate(three, 4)
