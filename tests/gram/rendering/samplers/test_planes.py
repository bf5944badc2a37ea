"""Planes are hit where geometry says, and the last of them is the background."""

import math

import pytest
import torch
from sampled_rays import FAR, NEAR, some_rays

from gram.rendering.samplers import OPAQUE, PlaneSampler


def make_planes(points: int = 5, **changes) -> PlaneSampler:
    return PlaneSampler(points=points, **{"delta": 0.2, "near": NEAR, "far": FAR, **changes})


@pytest.mark.parametrize("yaw", [math.pi / 2, 1.1, 2.2])
def test_samples_lie_on_evenly_spaced_planes_from_front_to_back(yaw: float) -> None:
    rays = some_rays(yaw=yaw)
    samples = make_planes().sample(rays)
    assert samples.hit.all()
    heights = rays.at(samples.t)[..., 2]
    expected = torch.tensor([0.12, 0.06, 0.0, -0.06, -0.12]).expand_as(heights)
    torch.testing.assert_close(heights, expected, rtol=0, atol=1e-6)
    assert (samples.t.diff(dim=-1) > 0).all()


def test_distances_are_those_of_geometry() -> None:
    """A ray at angle a to the z axis, from height 1, meets z at t = (1 - z) / cos a."""
    rays = some_rays(size=5)
    cosines = -rays.directions[..., 2:]
    expected = (1.0 - torch.tensor([0.12, 0.0, -0.12])) / cosines
    torch.testing.assert_close(make_planes(points=3).sample(rays).t, expected, rtol=1e-6, atol=0)


def test_seen_from_the_side_planes_are_far_apart_and_from_behind_missed() -> None:
    front, side = (make_planes().sample(some_rays(yaw=yaw)).t for yaw in (math.pi / 2, 0.6))
    assert float(side.diff(dim=-1).min()) > 1.5 * float(front.diff(dim=-1).max())
    rays = some_rays(yaw=-math.pi / 2)  # behind the background plane, looking along +z
    assert torch.equal(make_planes(background_z=None).sample(rays).hit.any(-1), torch.ones(1, 36).bool())
    edge_on = some_rays(yaw=0.0, size=5)
    samples = make_planes().sample(edge_on)
    assert samples.t.isfinite().all()
    assert not samples.hit.all()


def test_the_last_plane_is_opaque_only_where_there_is_a_background() -> None:
    with_plane, white = make_planes(), make_planes(background_z=None)
    assert with_plane.deltas.tolist() == pytest.approx([0.2] * 4 + [OPAQUE])
    assert white.deltas.tolist() == pytest.approx([0.2] * 5)
    assert (with_plane.points_per_ray, white.points_per_ray) == (5, 5)
    assert (with_plane.surfaces, white.surfaces) == (4, 5)


def test_inside_begins_at_the_front_plane() -> None:
    points = torch.tensor([[0.0, 0.0, z] for z in (-0.1, 0.11, 0.12, 0.15, 0.18, 0.3)])
    torch.testing.assert_close(make_planes().inside(points), torch.tensor([1.0, 1.0, 1.0, 0.5, 0.0, 0.0]))


def test_layers_count_the_planes_in_front() -> None:
    points = torch.tensor([[0.0, 0.0, z] for z in (0.2, 0.1, 0.01, -0.05, -0.11, -0.2)])
    assert make_planes().layers(points).tolist() == [0, 1, 2, 3, 4, 4]


def test_one_plane_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"points = 1: .* 2 are needed"):
        make_planes(points=1)
