"""Where the cameras of an export stand: heads are seen from the front, what is on white from all round."""

import math

import torch
from torch import Tensor

from gram.geometry.poses import GaussianPoses, PosePrior, SphericalPoses
from gram.meshing import turntable_poses
from gram.model.generator import Generator
from gram.shapes import Float
from pipeline.config.schema import ExportConfig

AROUND = 8
"""Cameras in a circle."""
ABOVE = (math.pi / 4, math.radians(75))
"""Pitches of the circles: what is seen from all round is seen from above."""
LEVEL = math.pi / 2


def turntable(generator: Generator, settings: ExportConfig, count: int) -> Float[Tensor, "{count} 2"]:
    """(pitch, yaw) of pictures that repeat without a jump: to and fro by export.yaw, or once round."""
    return turntable_poses(count, swing=None if _seen_all_round(generator) else settings.yaw)


def witnesses(generator: Generator, settings: ExportConfig) -> Float[Tensor, "views 2"]:
    """(pitch, yaw) of the cameras whose pictures the surface is to agree with.

    In front of heads they turn half as far as a turntable, where training has seen most: pictures from
    farther aside show where surfaces end.
    """
    if _seen_all_round(generator):
        pitches = torch.tensor(ABOVE)
        yaws = torch.arange(AROUND) * (2 * math.pi / AROUND)
    else:
        pitches = LEVEL + torch.tensor([-0.25, 0.0, 0.25]) * settings.yaw
        yaws = math.pi / 2 + torch.tensor([-0.5, 0.0, 0.5]) * settings.yaw
    return torch.cartesian_prod(pitches, yaws)


def prior(generator: Generator, settings: ExportConfig) -> PosePrior:
    """Where people look from: two standard deviations are the turn of a turntable, or all round."""
    if _seen_all_round(generator):
        return SphericalPoses()
    return GaussianPoses(yaw_std=settings.yaw / 2.0, pitch_std=settings.yaw / 4.0)


def across(settings: ExportConfig, count: int) -> Float[Tensor, "{count} 2"]:
    """(pitch, yaw) from one side, over the front, to the other."""
    yaws = math.pi / 2 - torch.linspace(-settings.yaw, settings.yaw, count)
    return torch.stack([torch.full_like(yaws, LEVEL), yaws], dim=1)


def _seen_all_round(generator: Generator) -> bool:
    return generator.sampler.white_background
