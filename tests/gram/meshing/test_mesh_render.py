"""Pictures of meshes follow the pixels and poses of the rest of the project."""

import math

import numpy as np
import pytest
import torch
import trimesh

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.meshing import color_vertices, extract_surface, render_mesh, turntable_poses

FOV = math.radians(12)
FRONT = torch.tensor([[math.pi / 2, math.pi / 2]])


@pytest.fixture(scope="module")
def sphere(box, ball):
    return extract_surface(ball(0.08), bounds=box, resolution=64, level=0.5)


def test_silhouette_is_that_of_the_rays_that_meet_the_sphere(sphere):
    poses = torch.tensor([[1.2, 1.9]])
    picture = render_mesh(sphere, poses, size=64, fov=FOV, supersampling=1)[0]
    rays = pixel_rays(look_at_origin(poses), size=64, fov=FOV)
    distance = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1).view(64, 64).numpy()
    shown = (picture != 255).any(axis=-1)
    clear = np.abs(distance - 0.08) > 2e-4
    assert np.array_equal(shown[clear], (distance < 0.08)[clear])
    assert clear.mean() > 0.95


def test_supersampling_only_softens_the_edge(sphere):
    sharp, soft = (
        render_mesh(sphere, FRONT, size=32, fov=FOV, supersampling=count)[0].astype(int) for count in (1, 3)
    )
    assert sharp.mean() == pytest.approx(soft.mean(), abs=1.0)
    assert np.median(np.abs(sharp - soft)) <= 2


def test_colors_appear_on_the_side_that_they_are_on(sphere):
    # Red grows with x, green with y, blue with z: from the front, x is to the right and y up.
    colored = color_vertices(sphere, lambda points, _: points / 0.16 + 0.5)
    picture = render_mesh(colored, FRONT, size=65, fov=FOV, colored=True)[0].astype(int)
    middle, offset = 32, 10
    assert picture[middle, middle + offset, 0] - picture[middle, middle - offset, 0] > 50
    assert picture[middle - offset, middle, 1] - picture[middle + offset, middle, 1] > 50
    assert picture[middle, middle, 2] == pytest.approx(255, abs=3)
    side = render_mesh(colored, torch.tensor([[math.pi / 2, 0.0]]), size=65, fov=FOV, colored=True)[0]
    assert side[middle, middle, 0] == pytest.approx(255, abs=3)


def test_clay_is_lit_from_the_upper_left_whatever_the_view(sphere):
    pictures = render_mesh(sphere, turntable_poses(3), size=32, fov=FOV).astype(int)
    assert np.abs(pictures - pictures[:1]).max() <= 40
    assert np.abs(pictures - pictures[:1]).mean() < 1
    assert pictures[0, 10, 10].sum() > pictures[0, 21, 21].sum() + 100


def test_background_is_where_nothing_is(sphere):
    picture = render_mesh(sphere, FRONT, size=32, fov=FOV, background=0.2)[0]
    assert (picture[0] == 51).all()


def test_turntable_goes_round_once_and_joins():
    poses = turntable_poses(8)
    steps = poses.roll(-1, 0)[:, 1] - poses[:, 1]
    torch.testing.assert_close(steps[:-1], torch.full((7,), math.pi / 4))
    assert steps[-1].item() == pytest.approx(math.pi / 4 - 2 * math.pi)
    assert poses[0].tolist() == pytest.approx([math.pi / 2, math.pi / 2])


def test_turntable_swings_to_both_sides_of_the_front():
    yaws = turntable_poses(8, swing=0.4)[:, 1] - math.pi / 2
    assert yaws[2].item() == pytest.approx(0.4)
    assert yaws[6].item() == pytest.approx(-0.4)
    assert yaws[0].item() == pytest.approx(0)


def test_mesh_without_colors_cannot_show_them(sphere):
    with pytest.raises(ValueError, match="no vertex colours; colour it with color_vertices"):
        render_mesh(sphere, FRONT, size=8, fov=FOV, colored=True)


def test_empty_mesh_is_refused():
    with pytest.raises(ValueError, match="no triangles"):
        render_mesh(trimesh.Trimesh(), FRONT, size=8, fov=FOV)
