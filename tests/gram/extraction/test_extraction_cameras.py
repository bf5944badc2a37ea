"""Cameras that show a model look at the training poses: the front of heads, all sides of cars from above."""

import math

import pytest
import torch

from gram.extraction.cameras import side_to_side, surface_poses, turntable
from gram.model.folder import build_generator
from gram.model.generator import Generator

FRONT = math.pi / 2
YAW = 0.6


def drawing(background_z: float | None) -> Generator:
    return build_generator(
        {
            "generator": {"fov": 0.5, "z_dim": 4, "mapping_width": 4, "mapping_layers": 1},
            "radiance": {"width": 4, "layers": 2, "box": 0.6},
            "sampler": {"kind": "stratified", "points": 4, "near": 0.7, "far": 1.3}
            | {"background_z": background_z},
        }
    )


def test_heads_are_witnessed_from_the_front_half_as_far_aside_as_they_turn() -> None:
    poses = surface_poses(drawing(-0.12), YAW)
    assert len(poses) == 9
    torch.testing.assert_close(poses.mean(0), torch.full((2,), FRONT))
    torch.testing.assert_close((poses - FRONT).abs().amax(0), torch.tensor([0.15, 0.3]))
    turned = turntable(drawing(-0.12), YAW, 8)[:, 1] - FRONT
    assert turned.abs().max().item() == pytest.approx(0.6)


def test_what_is_on_white_is_witnessed_from_all_round_and_above() -> None:
    poses = surface_poses(drawing(None), YAW)
    assert (poses[:, 0] < FRONT).all()
    directions = torch.stack([poses[:, 1].cos(), poses[:, 1].sin()], dim=1)
    assert directions.mean(0).abs().max() < 1e-6
    turned = turntable(drawing(None), YAW, 8)[:, 1]
    torch.testing.assert_close(turned.diff(), torch.full((7,), math.pi / 4))


def test_pictures_across_begin_on_one_side_and_end_on_the_other() -> None:
    poses = side_to_side(YAW, 3)
    torch.testing.assert_close(poses[:, 1] - FRONT, torch.tensor([0.6, 0.0, -0.6]))
