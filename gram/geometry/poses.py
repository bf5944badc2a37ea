"""Pose priors: distributions of the camera poses of a data set, (pitch, yaw) in radians."""

import math
import warnings
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gram.shapes import Float

SIGMAS = 3.0
"""Standard deviations of a normal prior that count as covered."""
MARGIN = math.radians(5)
"""Angle beyond a uniform prior that counts as covered, radians."""


@runtime_checkable
class PosePrior(Protocol):
    """Distribution of camera poses."""

    def sample(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "count 2"]:
        """Draw `count` independent (pitch, yaw), radians."""
        ...

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(lowest, highest) pitch and yaw that a model of these poses renders well, radians."""
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

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Three standard deviations to either side."""
        pairs = ((self.pitch_mean, self.pitch_std), (self.yaw_mean, self.yaw_std))
        pitch, yaw = ((mean - SIGMAS * std, mean + SIGMAS * std) for mean, std in pairs)
        return pitch, yaw


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

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Zone of the sphere, five degrees wider."""
        ends = [(self.v_mean + side * self.v_range) / math.pi for side in (-1.0, 1.0)]
        low, high = (math.acos(1.0 - 2.0 * min(max(v, 0.0), 1.0)) for v in ends)
        turn = math.inf if self.yaw_range >= math.pi else self.yaw_range + MARGIN
        return (low - MARGIN, high + MARGIN), (self.yaw_mean - turn, self.yaw_mean + turn)


def require_poses(poses: object, count: int) -> None:
    """Refuse poses of another kind or number.

    Raises:
        ValueError: they are no tensor (count, 2).
    """
    shape = tuple(poses.shape) if isinstance(poses, Tensor) else None
    if shape is None or len(shape) != 2 or shape[1] != 2 or shape[0] != count:
        given = f"a {type(poses).__name__}" if shape is None else f"a tensor of shape {shape}"
        raise ValueError(
            f"poses is {given}, not a tensor ({count}, 2) of (pitch, yaw) in radians, one for each latent: "
            f"the frontal view is torch.full(({count}, 2), torch.pi / 2)"
        )


def warn_outside(poses: Float[Tensor, "count 2"], prior: PosePrior) -> None:
    """Warn of poses outside the limits of a prior, whose images a model never learned."""
    for k, (name, (low, high)) in enumerate(zip(("pitch", "yaw"), prior.limits(), strict=True)):
        outside = poses[(poses[:, k] < low) | (poses[:, k] > high), k]
        if len(outside):
            at, least, most = (math.degrees(x) - 90.0 for x in (float(outside[0]), low, high))
            warnings.warn(
                f"{name} {at:.0f} degrees from the front is outside of [{least:.0f}, {most:.0f}], those of "
                f"training: expect artefacts (the front is {name} = pi / 2 radians)",
                stacklevel=3,
            )


def mirror_poses(poses: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]:
    """Poses of the horizontally flipped images: yaw -> pi - yaw.

    Example:
        >>> mirror_poses(torch.tensor([[1.5, 0.0]]))[0, 1].item() == torch.tensor(math.pi).item()
        True
    """
    pitch, yaw = poses.unbind(-1)
    return torch.stack([pitch, math.pi - yaw], dim=-1)
