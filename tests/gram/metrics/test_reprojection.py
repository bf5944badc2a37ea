"""Views of scenes in closed form, whose agreement is known."""

import math

import pytest
import torch
from torch import Tensor

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.metrics.reprojection import (
    DepthView,
    ReprojectionError,
    agreement,
    errors_of_motion,
    texture_lock,
    view_of,
    warp,
)

FOV = math.radians(14)
RADIUS = 0.08
WALL = -0.1
LEFT, RIGHT = math.pi / 2 + 0.12, math.pi / 2 - 0.12


def camera(yaw: float) -> Tensor:
    return look_at_origin(torch.tensor([[math.pi / 2, yaw]], dtype=torch.float64))


def texture(points: Tensor) -> Tensor:
    """Smooth colours in [-1, 1] at points, three different waves of 0.16 and more."""
    directions = torch.tensor([[39.0, 10.0, 0.0], [0.0, 35.0, 15.0], [25.0, -25.0, 10.0]], dtype=points.dtype)
    return torch.sin(points @ directions.T)


def meet_sphere(rays: Rays) -> Tensor:
    """Distance to the sphere around the origin, NaN for rays that miss it."""
    nearest = -(rays.origins * rays.directions).sum(-1)
    chord2 = RADIUS**2 - rays.origins.square().sum(-1) + nearest**2
    return torch.where(chord2 > 0, nearest - chord2.clamp_min(0.0).sqrt(), math.nan)


def meet_wall(rays: Rays) -> Tensor:
    return (WALL - rays.origins[..., 2]) / rays.directions[..., 2]


def view(yaw: float, size: int = 64, *, slide: float = 0.0) -> DepthView:
    """The sphere; its texture turns with the camera by a share `slide` of the camera's own turn."""
    cam2world = camera(yaw)
    rays = pixel_rays(cam2world, size=size, fov=FOV)
    depth = meet_sphere(rays)
    angle = slide * (yaw - math.pi / 2)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float64)
    image = texture(rays.at(depth.nan_to_num(1.0)[..., None])[..., 0, :] @ turn.T)
    return view_of(image.mT.view(1, 3, size, size), depth.view(1, size, size), cam2world, fov=FOV)


def glued_to_the_screen(yaw: float, size: int = 64) -> DepthView:
    return view(yaw, size)._replace(image=view(math.pi / 2, size).image)


def billboard(yaw: float, size: int = 64) -> DepthView:
    """One picture on a plane through the origin that always faces the camera."""
    cam2world = camera(yaw)
    rays = pixel_rays(cam2world, size=size, fov=FOV)
    depth = 1.0 / -(rays.directions @ cam2world[0, :3, 2])
    return view_of(view(math.pi / 2, size).image, depth.view(1, size, size), cam2world, fov=FOV)


def compare(source: DepthView, target: DepthView, **options: float) -> tuple[float, float]:
    found: ReprojectionError = agreement(warp(source, target, fov=FOV, **options), target)
    return float(found.error), float(found.coverage)


def test_a_view_agrees_with_itself() -> None:
    error, coverage = compare(view(LEFT), view(LEFT))
    assert error < 1e-6
    assert 0.75 < coverage < 1.0, "all but the silhouette"


def test_a_textured_sphere_is_consistent_to_the_error_of_interpolation() -> None:
    errors = [compare(view(LEFT, size), view(RIGHT, size))[0] for size in (32, 64, 128)]
    assert errors[0] < 0.01
    assert errors[0] / errors[1] > 3.0, "bilinear: a quarter at twice the resolution"
    assert errors[1] / errors[2] > 3.0


def test_a_larger_step_of_the_camera_covers_less() -> None:
    steps = [compare(view(math.pi / 2), view(math.pi / 2 + step)) for step in (0.1, 0.4, 0.8)]
    assert steps[0][1] > steps[1][1] > steps[2][1] > 0.1
    assert max(error for error, _ in steps) < 0.005


def test_a_billboard_that_turns_with_the_camera_is_inconsistent() -> None:
    board = compare(billboard(LEFT), billboard(RIGHT))
    sphere = compare(view(LEFT), view(RIGHT))
    assert board[0] > 10.0 * sphere[0]
    assert board[1] < 0.6 * sphere[1], "planes that meet in one line agree about few points"
    assert compare(billboard(LEFT), billboard(RIGHT), tolerance=1.0)[0] > 30.0 * sphere[0]


def test_wrong_depth_raises_the_error() -> None:
    wrong = [
        compare(*(v._replace(depth=v.depth + offset) for v in (view(LEFT), view(RIGHT))))[0]
        for offset in (0.0, 0.02, 0.06)
    ]
    assert wrong[0] < 0.005
    assert 3.0 * wrong[0] < wrong[1] < wrong[2]


def test_views_that_disagree_about_the_depth_are_not_compared() -> None:
    nearer = view(LEFT)._replace(depth=view(LEFT).depth - 0.02)
    assert compare(nearer, view(RIGHT))[1] == 0.0
    assert math.isnan(compare(nearer, view(RIGHT))[0])
    assert compare(nearer, view(RIGHT), tolerance=0.03)[1] > 0.5


@pytest.mark.parametrize("slide", [0.0, 0.25, 0.5])
def test_the_texture_lock_is_the_share_of_the_motion_that_colours_follow(slide: float) -> None:
    errors = errors_of_motion(view(LEFT, slide=slide), view(RIGHT, slide=slide), fov=FOV)
    assert texture_lock(errors) == pytest.approx(1.0 - slide, abs=0.03)


def test_colours_glued_to_the_screen_are_caught() -> None:
    source, target = glued_to_the_screen(LEFT), glued_to_the_screen(RIGHT)
    assert texture_lock(errors_of_motion(source, target, fov=FOV)) == 0.0
    assert compare(source, target)[0] > 20.0 * compare(view(LEFT), view(RIGHT))[0]


def test_a_surface_nearer_than_its_depth_moves_more_than_expected() -> None:
    source, target = (v._replace(depth=v.depth + 0.02) for v in (view(LEFT), view(RIGHT)))
    assert texture_lock(errors_of_motion(source, target, fov=FOV)) > 1.1


def test_without_colours_there_is_no_lock() -> None:
    source, target = (v._replace(image=torch.zeros_like(v.image)) for v in (view(LEFT), view(RIGHT)))
    assert math.isnan(texture_lock(errors_of_motion(source, target, fov=FOV)))


def before_a_wall(yaw: float, size: int = 96) -> DepthView:
    rays, sphere = pixel_rays(camera(yaw), size=size, fov=FOV), view(yaw, size)
    depth = meet_sphere(rays).view(1, size, size)
    wall = meet_wall(rays).view(1, size, size)
    colors = texture(rays.at(wall.view(1, -1, 1))[..., 0, :]).mT.view(1, 3, size, size)
    covered = depth.isfinite()
    image = torch.where(covered[:, None], sphere.image, colors)
    return view_of(image, torch.where(covered, depth, wall), sphere.cam2world, fov=FOV)


def test_what_the_source_cannot_see_is_masked_and_what_it_can_see_is_not() -> None:
    source, target = before_a_wall(math.pi / 2 + 0.2), before_a_wall(math.pi / 2 - 0.2)
    rays = pixel_rays(target.cam2world, size=96, fov=FOV)
    points = rays.at(torch.fmin(meet_sphere(rays), meet_wall(rays))[..., None])[..., 0, :]
    eye = source.cam2world[:, None, :3, 3].expand_as(points)
    sight = Rays(eye, torch.nn.functional.normalize(points - eye, dim=-1))
    first = torch.fmin(meet_sphere(sight), meet_wall(sight))
    hidden = ((points - eye).norm(dim=-1) > first + 1e-6).view(1, 96, 96)
    assert 0.03 < float(hidden.float().mean()) < 0.5
    warped = warp(source, target, fov=FOV)
    assert not (warped.valid & hidden).any()
    smooth = target.depth.isfinite()
    assert float(warped.valid[smooth & ~hidden].float().mean()) > 0.7, "the rest is outside of the picture"
    assert float(agreement(warped, target).error) < 0.01


def test_only_what_is_inside_the_source_picture_counts() -> None:
    source, target = before_a_wall(LEFT, 64), before_a_wall(RIGHT, 64)
    rays = pixel_rays(target.cam2world, size=64, fov=FOV)
    points = rays.at(torch.fmin(meet_sphere(rays), meet_wall(rays))[..., None])[0, :, 0]
    ones = torch.ones(len(points), 1, dtype=points.dtype)
    x, y, z, _ = (torch.cat([points, ones], 1) @ torch.linalg.inv(source.cam2world[0]).T).unbind(1)
    bound = -z * math.tan(FOV / 2)
    inside = ((x.abs() <= bound) & (y.abs() <= bound)).view(64, 64)
    assert 0.1 < float((~inside).float().mean()) < 0.9
    assert not warp(source, target, fov=FOV).valid[0][~inside].any()


def test_silhouettes_and_their_neighbours_have_no_depth() -> None:
    kept = before_a_wall(math.pi / 2).depth.isfinite()
    on_sphere = view(math.pi / 2, 96).foreground
    padded = torch.nn.functional.pad(on_sphere[0], (1, 1, 1, 1), value=False).unfold(0, 3, 1).unfold(1, 3, 1)
    mixed = padded.any(-1).any(-1) & ~padded.all(-1).all(-1)
    inner = torch.zeros_like(mixed)
    inner[1:-1, 1:-1] = True
    assert not kept[0][mixed & inner].any()
    assert kept[0][~padded.any(-1).any(-1)].all(), "the wall is flat"


def test_places_follow_the_pixel_convention_to_the_outermost_centres() -> None:
    target = before_a_wall(math.pi / 2, 33)
    warped = warp(target, target, fov=FOV)
    torch.testing.assert_close(warped.image[..., 0, 0], target.image[..., 0, 0], rtol=0, atol=1e-6)
    assert warped.valid[0, 0].all() and warped.valid[0, :, -1].all()
