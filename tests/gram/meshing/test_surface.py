"""Surfaces of fields whose geometry is known."""

import math

import numpy as np
import pytest
import torch
import trimesh

from gram.meshing import extract_surface, why_not_watertight

CELL = 0.24 / 47


@pytest.fixture(scope="module")
def sphere(box, ball):
    return extract_surface(ball(0.08), bounds=box, resolution=48, level=0.5)


def test_sphere_is_found_within_a_twentieth_of_a_cell(sphere):
    radii = np.linalg.norm(sphere.vertices, axis=1)
    assert np.abs(radii - 0.08).max() < 0.05 * CELL
    assert sphere.volume == pytest.approx(4 / 3 * math.pi * 0.08**3, rel=5e-3)
    assert sphere.area == pytest.approx(4 * math.pi * 0.08**2, rel=5e-3)


def test_sphere_is_closed_and_of_one_piece(sphere):
    assert why_not_watertight(sphere) is None
    assert sphere.is_watertight
    assert sphere.euler_number == 2
    assert sphere.body_count == 1


def test_normals_point_outward(sphere):
    outward = sphere.triangles_center / np.linalg.norm(sphere.triangles_center, axis=1, keepdims=True)
    assert (np.einsum("fd,fd->f", sphere.face_normals, outward) > 0.95).all()
    assert sphere.volume > 0


def test_axes_and_offsets_are_those_of_the_world(ball):
    centre = (0.03, -0.2, 0.35)
    bounds = [[-0.1, 0.2], [-0.4, 0.0], [0.2, 0.5]]
    mesh = extract_surface(ball(0.06, centre), bounds=bounds, resolution=41, level=0.5)
    np.testing.assert_allclose(mesh.bounds.mean(axis=0), centre, atol=5e-4)
    np.testing.assert_allclose(np.ptp(mesh.bounds, axis=0), 0.12, atol=1e-3)


def test_torus_keeps_its_hole(box):
    def torus(points):
        ring = (points[:, :2].norm(dim=-1) - 0.07).square() + points[:, 2].square()
        return 0.03 - ring.sqrt()

    mesh = extract_surface(torus, bounds=box, resolution=48, level=0.0)
    assert mesh.is_watertight
    assert mesh.euler_number == 0
    assert mesh.volume == pytest.approx(2 * math.pi**2 * 0.07 * 0.03**2, rel=2e-2)


def test_region_cut_by_the_box_is_closed_half_a_cell_outside(box):
    mesh = extract_surface(lambda points: -points[:, 2], bounds=box, resolution=25, level=0.0)
    cell = 0.01
    assert why_not_watertight(mesh) is None
    np.testing.assert_allclose(mesh.bounds[0], -0.12 - cell / 2, atol=1e-5)
    np.testing.assert_allclose(mesh.bounds[1], [0.125, 0.125, 0], atol=1e-4)
    assert mesh.volume == pytest.approx(0.25 * 0.25 * 0.125, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_rough_fields_are_closed_too(box, seed):
    values = torch.rand(13**3, generator=torch.Generator().manual_seed(seed))
    mesh = extract_surface(lambda _: values, bounds=box, resolution=13, level=0.5)
    assert why_not_watertight(mesh) is None
    assert len(mesh.faces) > 1000


def test_level_hit_exactly_at_lattice_points_leaves_no_degenerate_triangles(box):
    mesh = extract_surface(
        lambda points: 0.06 - points.abs().amax(dim=-1), bounds=box, resolution=25, level=0.0
    )
    assert why_not_watertight(mesh) is None
    assert mesh.area_faces.min() > 0
    assert mesh.volume == pytest.approx(0.12**3, rel=1e-2)


def test_automatic_level_finds_faint_objects(box, ball):
    mesh = extract_surface(
        lambda points: 0.3 * ball(0.08, sharpness=500.0)(points), bounds=box, resolution=48
    )
    assert 0.05 < mesh.metadata["level"] < 0.25
    assert np.linalg.norm(mesh.vertices, axis=1).mean() == pytest.approx(0.08, abs=0.5 * CELL)


def test_higher_level_gives_a_smaller_object(box, ball):
    volumes = [
        extract_surface(ball(0.08), bounds=box, resolution=24, level=level).volume
        for level in (0.1, 0.5, 0.9)
    ]
    assert volumes[0] > volumes[1] > volumes[2] > 0


def test_largest_part_only_on_request(box, ball):
    def head_and_floater(points):
        return torch.maximum(ball(0.07)(points), ball(0.015, (0.1, 0.1, 0.1))(points))

    everything = extract_surface(head_and_floater, bounds=box, resolution=48, level=0.5)
    head = extract_surface(head_and_floater, bounds=box, resolution=48, level=0.5, largest_only=True)
    assert everything.body_count == 2
    assert head.body_count == 1
    assert head.is_watertight
    assert head.bounds.max() < 0.075
    assert head.metadata["level"] == 0.5


def test_largest_part_of_a_shell_is_its_outside(box):
    def shell(points):
        return 0.02 - (points.norm(dim=-1) - 0.07).abs()

    solid = extract_surface(shell, bounds=box, resolution=48, level=0.0, largest_only=True)
    assert solid.volume == pytest.approx(4 / 3 * math.pi * 0.09**3, rel=1e-2)


def test_chunks_do_not_change_the_surface(box, ball, sphere):
    mesh = extract_surface(ball(0.08), bounds=box, resolution=48, level=0.5, chunk=1000)
    np.testing.assert_allclose(mesh.vertices, sphere.vertices, atol=1e-7)
    assert np.array_equal(mesh.faces, sphere.faces)


def test_level_outside_the_range_is_refused(box, ball):
    with pytest.raises(ValueError, match=r"level 2 is outside the field's range in the box, .* to 1"):
        extract_surface(ball(0.08), bounds=box, resolution=9, level=2.0)


def test_empty_space_is_refused(box):
    with pytest.raises(ValueError, match="0 everywhere in the box: there is no surface"):
        extract_surface(lambda points: torch.zeros(len(points)), bounds=box, resolution=5)


def test_hole_is_reported_with_its_edges(sphere):
    torn = trimesh.Trimesh(sphere.vertices, sphere.faces[1:], process=False)
    assert why_not_watertight(torn) == "3 edges belong to one triangle only: the surface has holes"


def test_branch_is_reported(sphere):
    doubled = trimesh.Trimesh(
        sphere.vertices, np.concatenate([sphere.faces, sphere.faces[:1]]), process=False
    )
    assert "3 edges belong to more than two triangles" in (why_not_watertight(doubled) or "")


def test_flipped_triangle_is_reported(sphere):
    faces = sphere.faces.copy()
    faces[0] = faces[0, ::-1]
    flipped = trimesh.Trimesh(sphere.vertices, faces, process=False)
    assert "disagree about which side" in (why_not_watertight(flipped) or "")


def test_empty_mesh_is_reported():
    assert why_not_watertight(trimesh.Trimesh()) == "the mesh has no triangles"
