"""Rays that fill the view, from the front or from the side."""

import math

import torch

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.rendering.samplers import Noise

NEAR, FAR = 0.88, 1.12


def some_rays(
    yaw: float = math.pi / 2, size: int = 6, dtype: torch.dtype = torch.float32, batch: int = 1
) -> Rays:
    """(batch, size * size, 3), all images from the same camera."""
    poses = torch.tensor([[math.pi / 2, yaw]] * batch, dtype=dtype)
    return pixel_rays(look_at_origin(poses), size=size, fov=math.radians(12))


def some_noise(batch: int = 1, seed: int = 0) -> Noise:
    """One seed an image."""
    return Noise(torch.randint(2**31, (batch,), generator=torch.Generator().manual_seed(seed)))
