"""Camera poses that show a trained model: around the front for heads, all around for objects on white.

`yaw` is the amplitude of the turn to either side, radians; objects on white turn fully.
"""

import math

import torch
from torch import Tensor

from gram.geometry.poses import GaussianPoses, PosePrior, SphericalPoses
from gram.meshing import turntable_poses
from gram.model.generator import Generator
from gram.shapes import Float

AROUND = 8
"""Number of cameras in a circle."""
CIRCLES = (math.pi / 4, math.radians(75))
"""Pitches of the circles of cameras around objects on white, radians; both are above the horizon."""
LEVEL = math.pi / 2
"""Pitch of the horizon, radians."""


def turntable(generator: Generator, yaw: float, count: int) -> Float[Tensor, "{count} 2"]:
    """(pitch, yaw) of a closed loop of views: to and fro by yaw, or a full turn."""
    return turntable_poses(count, swing=None if _all_around(generator) else yaw)


def surface_poses(generator: Generator, yaw: float) -> Float[Tensor, "views 2"]:
    """(pitch, yaw) of the cameras from whose depth the visible surface is extracted.

    For heads they turn half as far as a turntable, where most training images are: views from farther aside
    show the ends of the surfaces.
    """
    if _all_around(generator):
        pitches = torch.tensor(CIRCLES)
        yaws = torch.arange(AROUND) * (2 * math.pi / AROUND)
    else:
        pitches = LEVEL + torch.tensor([-0.25, 0.0, 0.25]) * yaw
        yaws = math.pi / 2 + torch.tensor([-0.5, 0.0, 0.5]) * yaw
    return torch.cartesian_prod(pitches, yaws)


def prior(generator: Generator, yaw: float) -> PosePrior:
    """Prior of the viewer's camera poses: yaw is two standard deviations, or all around."""
    if _all_around(generator):
        return SphericalPoses()
    return GaussianPoses(yaw_std=yaw / 2.0, pitch_std=yaw / 4.0)


def side_to_side(yaw: float, count: int) -> Float[Tensor, "{count} 2"]:
    """(pitch, yaw) from one side over the front to the other."""
    yaws = math.pi / 2 - torch.linspace(-yaw, yaw, count)
    return torch.stack([torch.full_like(yaws, LEVEL), yaws], dim=1)


def _all_around(generator: Generator) -> bool:
    return generator.sampler.white_background
