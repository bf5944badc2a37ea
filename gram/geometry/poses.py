"""Pose priors: distributions of the camera poses of a data set, (pitch, yaw) in radians."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gram.shapes import Float


@runtime_checkable
class PosePrior(Protocol):
    """Distribution of camera poses."""

    def sample(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "count 2"]:
        """Draw `count` independent (pitch, yaw), radians."""
        ...


@dataclass(frozen=True, kw_only=True)
class GaussianPoses:
    """Independent normal pitch and yaw, for faces (FFHQ: yaw N(pi/2, 0.3), pitch N(pi/2, 0.155))."""

    yaw_mean: float = math.pi / 2
    yaw_std: float = 0.3
    pitch_mean: float = math.pi / 2
    pitch_std: float = 0.155

    def sample(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "count 2"]:
        """Draw `count` independent (pitch, yaw); pitch is clamped to one degree from the poles.

        Example:
            >>> rng = torch.Generator().manual_seed(0)
            >>> GaussianPoses(yaw_std=0.3).sample(2, generator=rng).shape
            torch.Size([2, 2])
        """
        noise = torch.randn(count, 2, generator=generator, device=device)
        pitch = self.pitch_mean + self.pitch_std * noise[:, 0]
        yaw = self.yaw_mean + self.yaw_std * noise[:, 1]
        return torch.stack([pitch.clamp(math.radians(1), math.radians(179)), yaw], dim=-1)


@dataclass(frozen=True, kw_only=True)
class SphericalPoses:
    """Uniform distribution over a zone of the sphere, for cars: yaw = U(-1, 1) yaw_range + yaw_mean,
    pitch = arccos(1 - 2 v) with v = (U(-1, 1) v_range + v_mean) / pi."""

    yaw_mean: float = math.pi / 2
    yaw_range: float = math.pi
    v_mean: float = math.radians(42.5)
    v_range: float = math.radians(42.5)

    def sample(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "count 2"]:
        """Draw `count` independent (pitch, yaw).

        Example:
            >>> pitch, yaw = SphericalPoses().sample(1000).unbind(-1)
            >>> bool((pitch < math.pi / 2).all())  # views from above
            True
        """
        uniform = torch.rand(count, 2, generator=generator, device=device) * 2.0 - 1.0
        v = (uniform[:, 0] * self.v_range + self.v_mean) / math.pi
        pitch = torch.acos(1.0 - 2.0 * v.clamp(1e-5, 1.0 - 1e-5))
        return torch.stack([pitch, uniform[:, 1] * self.yaw_range + self.yaw_mean], dim=-1)


def mirror_poses(poses: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]:
    """Poses of the horizontally flipped images: yaw -> pi - yaw.

    Example:
        >>> mirror_poses(torch.tensor([[1.5, 0.0]]))[0, 1].item() == torch.tensor(math.pi).item()
        True
    """
    pitch, yaw = poses.unbind(-1)
    return torch.stack([pitch, math.pi - yaw], dim=-1)
