"""Opacity in front of a point, where it is known in closed form."""

import math

import numpy as np
import pytest
import torch

from gram.meshing import accumulated_opacity, extract_surface, why_not_watertight

FRONT = torch.tensor([[math.pi / 2, math.pi / 2]])
CIRCLE = torch.tensor([[math.pi / 2 - 0.3, k * math.pi / 4] for k in range(8)])
SPACING = 0.04


def slab(points):
    """Layers of occupancy 1/2 where z < 0.06."""
    return torch.where(points[:, 2] < 0.06, 0.5, 0.0)


def test_every_spacing_lets_through_what_a_layer_lets_through(box):
    opacity = accumulated_opacity(slab, FRONT, bounds=box, spacing=SPACING, resolution=97)
    depths = torch.tensor([0.0, 0.02, 0.04, 0.06, 0.1])
    points = torch.stack([torch.zeros(5), torch.zeros(5), 0.06 - depths], dim=1)
    torch.testing.assert_close(opacity(points), 1 - 0.5 ** (depths / SPACING), atol=0.02, rtol=0)


def test_light_that_comes_aslant_goes_farther(box):
    opacity = accumulated_opacity(
        slab, torch.tensor([[math.pi / 2, math.pi / 2 + 0.7]]), bounds=box, spacing=SPACING, resolution=97
    )
    found = opacity(torch.zeros(1, 3))
    assert found.item() == pytest.approx(1 - 0.5 ** (0.06 / math.cos(0.7) / SPACING), abs=0.02)


def test_nothing_is_hidden_in_front(box):
    opacity = accumulated_opacity(slab, FRONT, bounds=box, spacing=SPACING, resolution=33)
    assert opacity(torch.tensor([[0.0, 0.0, 0.1], [0.0, 0.0, 3.0]])).abs().max() < 1e-6


def test_what_no_camera_sees_is_solid(box, ball):
    opacity = accumulated_opacity(
        ball(0.05, sharpness=2000.0), FRONT, bounds=box, spacing=0.005, resolution=65
    )
    assert opacity(torch.tensor([[0.0, 0.0, -0.1]])).item() > 0.99
    assert opacity(torch.tensor([[0.09, 0.0, 0.0]])).item() < 0.01


def test_an_opaque_ball_seen_from_all_round_is_that_ball(box, ball):
    opacity = accumulated_opacity(
        ball(0.06, sharpness=2000.0), CIRCLE, bounds=box, spacing=0.005, resolution=65
    )
    mesh = extract_surface(opacity, bounds=box, resolution=65)
    assert why_not_watertight(mesh) is None
    upper = mesh.vertices[mesh.vertices[:, 1] > -0.02]
    radii = np.linalg.norm(upper, axis=1)
    cell = 0.24 / 64
    assert np.abs(radii - 0.06).mean() < cell / 2
    assert mesh.metadata["level"] == pytest.approx(0.5, abs=0.01)


def test_a_single_camera_that_sees_through_outweighs_those_that_do_not(box):
    wall = accumulated_opacity(
        lambda points: torch.where(points[:, 0].abs() < 0.005, 1.0, 0.0),
        torch.tensor([[math.pi / 2, 0.0], [math.pi / 2, math.pi], [math.pi / 2, math.pi / 4]]),
        bounds=box, spacing=0.005, resolution=65,
    )  # fmt: skip
    assert wall(torch.tensor([[0.05, 0.0, 0.0]])).item() < 0.01
