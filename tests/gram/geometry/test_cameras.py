"""Cameras against the definition of the world, pixel by pixel."""

import math

import pytest
import torch

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays, poses_from_cam2world
from gram.geometry.poses import SphericalPoses, mirror_poses

FRONTAL = torch.full((1, 2), math.pi / 2, dtype=torch.float64)


def some_poses(count: int = 32) -> torch.Tensor:
    """Anywhere but at the poles, within half a turn of the frontal view."""
    uniform = torch.rand(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.stack([0.1 + 2.9 * uniform[:, 0], 2.0 * math.pi * (uniform[:, 1] - 0.25)], dim=-1)


def test_the_frontal_camera_is_one_unit_before_the_origin_with_the_worlds_axes() -> None:
    expected = torch.eye(4, dtype=torch.float64)
    expected[2, 3] = 1.0
    torch.testing.assert_close(look_at_origin(FRONTAL)[0], expected, rtol=0, atol=1e-15)


def test_cameras_are_rigid_and_right_handed_and_look_at_the_origin() -> None:
    cam2world = look_at_origin(some_poses(), radius=1.7)
    rotation, centre = cam2world[:, :3, :3], cam2world[:, :3, 3]
    identity = torch.eye(3, dtype=torch.float64).expand_as(rotation)
    torch.testing.assert_close(rotation.mT @ rotation, identity, rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(32, dtype=torch.float64))
    torch.testing.assert_close(centre, 1.7 * rotation[:, :, 2], rtol=0, atol=1e-14)
    assert (rotation[:, 1, 0].abs() < 1e-14).all()  # the camera's x is level
    assert (rotation[:, 1, 1] > 0).all()  # and its up points up
    assert torch.equal(cam2world[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).double().expand(32, 4))


def test_centres_follow_the_definition_of_a_pose() -> None:
    poses = some_poses()
    for (pitch, yaw), cam2world in zip(poses.tolist(), look_at_origin(poses), strict=True):
        centre = [math.sin(pitch) * math.cos(yaw), math.cos(pitch), math.sin(pitch) * math.sin(yaw)]
        torch.testing.assert_close(cam2world[:3, 3], torch.tensor(centre).double(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("radius", [0.5, 1.0, 3.0])
def test_poses_survive_the_way_to_matrices_and_back(radius: float) -> None:
    poses = some_poses()
    back = poses_from_cam2world(look_at_origin(poses, radius=radius))
    torch.testing.assert_close(back, poses, rtol=0, atol=1e-12)


def test_one_view_has_one_yaw_whether_it_was_drawn_read_or_mirrored() -> None:
    drawn = SphericalPoses().sample(2000, generator=torch.Generator().manual_seed(0)).double()
    read = poses_from_cam2world(look_at_origin(drawn))
    torch.testing.assert_close(read, drawn, rtol=0, atol=1e-6)
    mirrored = poses_from_cam2world(look_at_origin(mirror_poses(drawn)))
    torch.testing.assert_close(mirrored, mirror_poses(drawn), rtol=0, atol=1e-6)
    assert read[:, 1].min() < -1.5
    assert read[:, 1].max() > 4.6


@pytest.mark.parametrize("size", [1, 4, 5])
def test_rays_agree_with_one_pixel_at_a_time(size: int) -> None:
    fov, cam2world = 0.4, look_at_origin(some_poses(3))
    rays = pixel_rays(cam2world, size=size, fov=fov)
    line = torch.linspace(-1.0, 1.0, size, dtype=torch.float64)
    for image in range(3):
        for row in range(size):
            for column in range(size):
                y = torch.linspace(1.0, -1.0, size, dtype=torch.float64)[row] if size > 1 else -line[0]
                x = torch.stack([line[column], y, torch.tensor(-1.0 / math.tan(fov / 2.0)).double()])
                expected = cam2world[image, :3, :3] @ (x / x.norm())
                pixel = row * size + column
                torch.testing.assert_close(rays.directions[image, pixel], expected, rtol=0, atol=1e-7)
                assert torch.equal(rays.origins[image, pixel], cam2world[image, :3, 3])


def test_directions_have_unit_length() -> None:
    directions = pixel_rays(look_at_origin(some_poses()), size=7, fov=1.0).directions
    torch.testing.assert_close(
        directions.norm(dim=-1), torch.ones(32, 49, dtype=torch.float64), rtol=0, atol=1e-15
    )


def test_the_middle_pixel_sees_the_origin_at_distance_one() -> None:
    rays = pixel_rays(look_at_origin(some_poses()), size=5, fov=0.3)
    middle = Rays(rays.origins[:, 12], rays.directions[:, 12]).at(torch.ones(32, 1, dtype=torch.float64))
    assert middle.abs().max() < 1e-14


def test_outermost_pixel_centres_are_the_field_of_view_apart() -> None:
    directions = pixel_rays(look_at_origin(FRONTAL), size=5, fov=0.7).directions.view(5, 5, 3)
    for first, last in ((directions[2, 0], directions[2, 4]), (directions[0, 2], directions[4, 2])):
        assert math.acos(float(first @ last)) == pytest.approx(0.7, abs=1e-12)


def test_rows_run_down_and_columns_run_right() -> None:
    directions = pixel_rays(look_at_origin(FRONTAL), size=4, fov=0.5).directions.view(4, 4, 3)
    assert (directions[1:, :, 1] < directions[:-1, :, 1]).all()
    assert (directions[:, 1:, 0] > directions[:, :-1, 0]).all()
    assert (directions[..., 2] < 0).all()


def test_mirrored_poses_see_the_mirrored_world() -> None:
    poses = some_poses(4)
    straight = pixel_rays(look_at_origin(poses), size=6, fov=0.5)
    mirrored = pixel_rays(look_at_origin(mirror_poses(poses)), size=6, fov=0.5)
    flip = torch.tensor([-1.0, 1.0, 1.0]).double()
    for ours, theirs in zip(mirrored, straight, strict=True):
        flipped = theirs.view(4, 6, 6, 3).flip(2).flatten(1, 2) * flip
        torch.testing.assert_close(ours, flipped, rtol=0, atol=1e-12)


def test_points_lie_at_their_distance_from_the_origin_of_the_ray() -> None:
    rays = pixel_rays(look_at_origin(some_poses(2)), size=3, fov=0.5)
    t = torch.rand(2, 9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    points = rays.at(t)
    torch.testing.assert_close((points - rays.origins[:, :, None]).norm(dim=-1), t, rtol=0, atol=1e-14)
    torch.testing.assert_close(points[1, 5, 2], rays.origins[1, 5] + t[1, 5, 2] * rays.directions[1, 5])


def test_precision_and_device_follow_the_poses() -> None:
    rays = pixel_rays(look_at_origin(some_poses(2).float()), size=3, fov=0.5)
    assert rays.origins.dtype == rays.directions.dtype == torch.float32
