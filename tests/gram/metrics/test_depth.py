"""Depth, normals and outlines of planes and spheres, whose errors are known."""

import math

import pytest
import torch
from torch import Tensor

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.metrics.depth import depth_correlation, depth_error, mask_iou, normal_error, normals_from_depth

FOV = math.radians(12)
SIZE = 65
FRONT = torch.full((1, 2), math.pi / 2)
RADIUS = 0.08


def rays(poses: Tensor = FRONT) -> Rays:
    return pixel_rays(look_at_origin(poses.double()), size=SIZE, fov=FOV)


def plane(normal: tuple[float, float, float], offset: float = 0.0, poses: Tensor = FRONT) -> Tensor:
    """Depth of the plane of points with normal . x = offset."""
    seen, across = rays(poses), torch.tensor(normal, dtype=torch.float64)
    t = (offset - seen.origins @ across) / (seen.directions @ across)
    return t.view(len(poses), SIZE, SIZE)


def sphere(poses: Tensor = FRONT, radius: float = RADIUS) -> Tensor:
    """Depth of a sphere around the origin."""
    seen = rays(poses)
    middle = -(seen.origins * seen.directions).sum(-1)
    chord2 = middle**2 - seen.origins.square().sum(-1) + radius**2
    t = torch.where(chord2 > 0, middle - chord2.clamp_min(0.0).sqrt(), torch.nan)
    return t.view(len(poses), SIZE, SIZE)


def normals_of_sphere(poses: Tensor = FRONT) -> Tensor:
    depth = sphere(poses)
    points = rays(poses).at(depth.view(len(poses), -1, 1))
    return (points / RADIUS).view(len(poses), SIZE, SIZE, 3)


def test_depth_that_is_shifted_by_d_has_error_d() -> None:
    truth = sphere()
    assert float(depth_error(truth + 0.01, truth)) == pytest.approx(0.01)
    assert float(depth_error(truth - 0.01, truth)) == pytest.approx(0.01)
    assert float(depth_error(truth, truth)) == 0.0


def test_a_plane_that_stands_d_farther_away_has_error_d_over_the_slope_of_rays() -> None:
    found, truth = plane((0.0, 0.0, 1.0), -0.01), plane((0.0, 0.0, 1.0))
    expected = (0.01 / -rays().directions[..., 2]).mean()  # along the ray it is longer than along z
    assert float(depth_error(found, truth)) == pytest.approx(float(expected))


def test_depth_counts_only_where_both_have_some() -> None:
    truth = torch.ones(1, 4, 4)
    found = truth + 0.5
    found[0, 0], truth[0, 1] = torch.nan, torch.nan
    found[0, 2] = truth[0, 2]
    assert float(depth_error(found, truth)) == pytest.approx(0.25)
    assert depth_error(torch.full_like(truth, torch.nan), truth).isnan().all()


def test_correlation_is_blind_to_scale_and_offset_alone() -> None:
    truth = sphere()
    assert float(depth_correlation(0.3 * truth + 0.5, truth)) == pytest.approx(1.0)
    assert float(depth_correlation(2.0 - truth, truth)) == pytest.approx(-1.0)
    assert float(depth_correlation(torch.ones_like(truth), truth)) == 0.0
    assert float(depth_correlation(truth.flip(2).roll(9, 2), truth)) < 0.9


def test_a_billboard_in_place_of_a_sphere_fails_depth_and_normals() -> None:
    """Its own outline would pass; from a sphere's apex to its rim depth falls by the radius."""
    truth = sphere()
    billboard = torch.where(truth.isfinite(), plane((0.0, 0.0, 1.0)), torch.nan)
    assert float(mask_iou(billboard.isfinite(), truth.isfinite())) == 1.0
    assert float(depth_error(billboard, truth)) == pytest.approx(2.0 / 3.0 * RADIUS, rel=0.08)
    found, expected = normals_from_depth(billboard, FRONT.double(), fov=FOV), normals_of_sphere()
    angles = torch.rad2deg(torch.acos(expected[..., 2]))[found.isfinite().all(-1)]
    assert float(normal_error(found, expected)) == pytest.approx(float(angles.mean()), abs=1e-3)
    assert float(angles.mean()) == pytest.approx(45.0, abs=6.0)  # the mean of arcsin(r) over a whole disc


def test_normals_of_a_sphere_are_its_radii_from_every_side() -> None:
    poses = torch.tensor([[1.3, 1.2], [math.pi / 2, math.pi / 2], [1.8, 2.1]], dtype=torch.float64)
    found = normals_from_depth(sphere(poses), poses, fov=FOV)
    facing = (found * rays(poses).directions.view(found.shape)).sum(-1) < -0.4  # but for grazing rays
    for one, truth, some in zip(found, normals_of_sphere(poses), facing, strict=True):
        some = some & one.isfinite().all(-1) & truth.isfinite().all(-1)
        assert some.sum() > 500
        assert float(normal_error(one[some][None, None], truth[some][None, None])) < 1.0


@pytest.mark.parametrize("degrees", [0.0, 10.0, 35.0])
def test_a_plane_turned_by_an_angle_has_that_error(degrees: float) -> None:
    turned = (math.sin(math.radians(degrees)), 0.0, math.cos(math.radians(degrees)))
    found, truth = (
        normals_from_depth(plane(normal), FRONT.double(), fov=FOV) for normal in (turned, (0.0, 0.0, 1.0))
    )
    assert float(normal_error(found, truth)) == pytest.approx(degrees, abs=1e-4)
    inner = found[0, 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.tensor(turned, dtype=torch.float64).expand_as(inner))


def test_pixels_next_to_the_background_have_no_normal() -> None:
    depth = plane((0.0, 0.0, 1.0))
    depth[0, 20, 30] = torch.nan
    missing = normals_from_depth(depth, FRONT.double(), fov=FOV).isnan().any(-1)[0, 1:-1, 1:-1]
    assert missing.nonzero().add(1).tolist() == [[19, 30], [20, 29], [20, 30], [20, 31], [21, 30]]


def test_masks_that_overlap_by_half_have_an_iou_of_a_third() -> None:
    left, right = torch.zeros(2, 4, 6, dtype=torch.bool), torch.zeros(2, 4, 6, dtype=torch.bool)
    left[:, :, :4], right[:, :, 2:] = True, True
    right[1] = left[1]
    torch.testing.assert_close(mask_iou(left, right), torch.tensor([1.0 / 3.0, 1.0]))
    assert mask_iou(left & False, right & False).isnan().all()
    assert mask_iou(left & False, right).tolist() == [0.0, 0.0]
