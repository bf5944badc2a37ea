"""Pose priors have the distributions of the paper."""

import math

import pytest
import torch
from torch import Tensor

from gram.geometry.poses import GaussianPoses, PosePrior, SphericalPoses, mirror_poses

COUNT = 20_000


def draw(prior: PosePrior, seed: int = 0, count: int = COUNT) -> Tensor:
    return prior.sample(count, generator=torch.Generator().manual_seed(seed)).double()


def distance_from_uniform(values: Tensor, low: float, high: float) -> float:
    """Kolmogorov-Smirnov: largest difference of the distribution functions, times sqrt(count)."""
    expected = (values.sort().values - low) / (high - low)
    actual = (torch.arange(len(values), dtype=torch.float64) + 0.5) / len(values)
    return float((expected - actual).abs().max()) * math.sqrt(len(values))


def test_gaussian_poses_have_the_moments_asked_for() -> None:
    prior = GaussianPoses(yaw_mean=1.2, yaw_std=0.3, pitch_mean=1.6, pitch_std=0.155)
    poses = draw(prior)
    assert poses.shape == (COUNT, 2)
    for column, mean, std in ((0, 1.6, 0.155), (1, 1.2, 0.3)):
        assert float(poses[:, column].mean()) == pytest.approx(mean, abs=4 * std / math.sqrt(COUNT))
        assert float(poses[:, column].std()) == pytest.approx(std, rel=4 / math.sqrt(2 * COUNT))
    assert abs(float(torch.corrcoef(poses.T)[0, 1])) < 4 / math.sqrt(COUNT)


def test_default_poses_are_those_of_ffhq() -> None:
    assert GaussianPoses() == GaussianPoses(
        yaw_mean=math.pi / 2, yaw_std=0.3, pitch_mean=math.pi / 2, pitch_std=0.155
    )


def test_gaussian_pitch_stays_off_the_poles() -> None:
    pitch = draw(GaussianPoses(pitch_std=10.0))[:, 0]
    assert float(pitch.min()) == pytest.approx(math.radians(1))
    assert float(pitch.max()) == pytest.approx(math.radians(179))


def test_spherical_poses_are_uniform_on_their_zone_of_the_sphere() -> None:
    pitch, yaw = draw(SphericalPoses()).unbind(-1)
    # v is uniform on [0, 85/180], and height on the sphere, cos(pitch) = 1 - 2 v, as much.
    assert distance_from_uniform(pitch.cos(), 1.0 - 2.0 * 85.0 / 180.0, 1.0) < 1.95  # p = 0.001
    assert distance_from_uniform(yaw, -math.pi / 2, 1.5 * math.pi) < 1.95
    assert (pitch < math.pi / 2).all()  # upper hemisphere only
    assert (pitch > 0).all()


def test_spherical_ranges_are_respected() -> None:
    prior = SphericalPoses(yaw_mean=0.5, yaw_range=0.2, v_mean=math.pi / 2, v_range=0.1)
    pitch, yaw = draw(prior).unbind(-1)
    assert distance_from_uniform(yaw, 0.3, 0.7) < 1.95
    assert distance_from_uniform(pitch.cos(), -0.2 / math.pi, 0.2 / math.pi) < 1.95


@pytest.mark.parametrize("prior", [GaussianPoses(), SphericalPoses()], ids=["gaussian", "spherical"])
def test_the_same_generator_gives_the_same_poses(prior: PosePrior) -> None:
    assert torch.equal(draw(prior, 3, 50), draw(prior, 3, 50))
    assert not torch.equal(draw(prior, 3, 50), draw(prior, 4, 50))


def test_mirroring_reflects_yaw_and_keeps_pitch() -> None:
    poses = draw(GaussianPoses(), count=100)
    mirrored = mirror_poses(poses)
    assert torch.equal(mirrored[:, 0], poses[:, 0])
    torch.testing.assert_close(mirrored[:, 1] + poses[:, 1], torch.full((100,), math.pi).double())
    torch.testing.assert_close(mirror_poses(mirrored), poses)
