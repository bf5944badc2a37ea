"""The pose network on pictures whose pose is plain to see."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gram.analysis.pose_estimator import (
    LARGEST_SIZE,
    PoseNetwork,
    load_pose_network,
    save_pose_network,
    train_pose_network,
)
from gram.geometry.cameras import on_unit_sphere, poses_on_unit_sphere
from gram.geometry.poses import GaussianPoses, SphericalPoses, mirror_poses
from gram.metrics.angles import angle_difference

SIZE = 16


def dots(poses: Tensor, size: int = SIZE) -> Tensor:
    """A round spot at (x, y) of the camera on the unit sphere; it is red in front and blue behind."""
    x, y, z = on_unit_sphere(poses)[:, :, None, None].unbind(1)
    line = torch.linspace(-1.0, 1.0, size)
    rows, columns = torch.meshgrid(-line, line, indexing="ij")
    spot = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 0.1)
    front = (1.0 + z) / 2.0
    pictures = torch.stack([spot * front, 0.5 * spot, spot * (1.0 - front)], 1)
    return (pictures * 255.0).round().to(torch.uint8)


def drawn(prior: GaussianPoses | SphericalPoses, count: int, seed: int = 0) -> Tensor:
    return prior.sample(count, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network() -> PoseNetwork:
    poses = drawn(GaussianPoses(), 500)
    return train_pose_network(dots(poses), poses, steps=150, seed=0)


def test_it_learns_the_pose_of_a_dot(network: PoseNetwork) -> None:
    poses = drawn(GaussianPoses(), 300, seed=1)
    errors = torch.rad2deg(angle_difference(network.estimate(dots(poses)), poses)).abs().mean(0)
    assert float(errors[0]) < 2.0
    assert float(errors[1]) < 2.0
    apart = torch.rad2deg(angle_difference(poses.roll(1, 0), poses)).abs().mean(0)
    assert float(errors[0]) < 0.2 * float(apart[0])
    assert float(errors[1]) < 0.15 * float(apart[1])


def test_mirrored_pictures_have_mirrored_poses(network: PoseNetwork) -> None:
    pictures = dots(drawn(GaussianPoses(), 20, seed=2))
    torch.testing.assert_close(
        network.estimate(pictures.flip(-1)), mirror_poses(network.estimate(pictures)), rtol=0, atol=1e-5
    )


def test_a_yaw_all_around_is_learned_without_a_jump() -> None:
    poses = drawn(SphericalPoses(), 800)
    network = train_pose_network(dots(poses), poses, steps=200, seed=0)
    unseen = drawn(SphericalPoses(), 300, seed=1)
    unseen = unseen[unseen[:, 0] > 0.6]  # near the pole every yaw is the same view
    errors = torch.rad2deg(angle_difference(network.estimate(dots(unseen)), unseen)[:, 1]).abs()
    assert float(errors.mean()) < 6.0
    at_the_jump = angle_difference(unseen[:, 1], torch.full_like(unseen[:, 1], -math.pi / 2)).abs() < 0.4
    assert int(at_the_jump.sum()) > 10
    assert float(errors[at_the_jump].mean()) < 10.0


def test_training_repeats_itself_and_touches_no_other_randomness() -> None:
    poses = drawn(GaussianPoses(), 50)
    state = torch.get_rng_state()
    first, again, other = (train_pose_network(dots(poses), poses, steps=2, seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
    assert not torch.equal(first.layers[0].weight, other.layers[0].weight)  # pyright: ignore


@pytest.mark.parametrize("size", [4, 8, 24, 32, 64, 128, 256])
def test_pictures_of_any_size_are_averaged_down_to_its_own(size: int) -> None:
    network = PoseNetwork(size)
    assert network.size == min(LARGEST_SIZE, 2 ** int(math.log2(size)))
    even = torch.full((2, 3, size, size), 90, dtype=torch.uint8)
    own = torch.full((2, 3, network.size, network.size), 90, dtype=torch.uint8)
    torch.testing.assert_close(network.estimate(even), network.estimate(own))


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="2 x 2 pixels shows no pose"):
        PoseNetwork(2)


def test_what_is_kept_is_found_again_and_nothing_else_is(network: PoseNetwork, tmp_path: Path) -> None:
    assert load_pose_network(tmp_path / "absent", SIZE) is None
    save_pose_network(tmp_path / "kept", network, '{"steps": 150}')
    found = load_pose_network(tmp_path / "kept", SIZE)
    assert found is not None
    pictures = dots(drawn(GaussianPoses(), 5))
    assert torch.equal(found.estimate(pictures), network.estimate(pictures))
    assert (tmp_path / "kept/pose_network.json").read_text() == '{"steps": 150}\n'
    assert load_pose_network(tmp_path / "kept", 4 * SIZE) is None, "of another size"
    (tmp_path / "kept/pose_network.safetensors").write_bytes(b"damaged")
    assert load_pose_network(tmp_path / "kept", SIZE) is None


def test_directions_and_poses_are_inverse() -> None:
    poses = drawn(SphericalPoses(), 100)
    torch.testing.assert_close(angle_difference(poses_on_unit_sphere(on_unit_sphere(poses)), poses),
                               torch.zeros(100, 2), rtol=0, atol=2e-5)  # fmt: skip
