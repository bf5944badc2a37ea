"""Pose estimator: a small network that predicts the camera pose of an image, to test generated images.

It predicts the camera centre on the unit sphere, which unlike angles has no discontinuity. Predictions of an
image and its mirror image are averaged, so mirrored images have mirrored poses by construction.
"""

from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from gram.geometry.cameras import on_unit_sphere, poses_on_unit_sphere
from gram.geometry.poses import mirror_poses
from gram.shapes import Float, UInt8
from gram.system.folders import write_folder

LARGEST_SIZE = 64
"""Maximum input side of the network, pixels; larger images are averaged down."""
SMALLEST_SIDE, MOST_CHANNELS = 4, 64
BATCH_SIZE = 64
LEARNING_RATE = 6e-3
TINT = 0.1
"""Standard deviation of the colour augmentation: contrast and tint."""
ESTIMATE_BATCH = 256
WEIGHTS = "pose_network.safetensors"
DESCRIPTION = "pose_network.json"

Progress = Callable[[int], None]


class PoseNetwork(nn.Module):
    """CNN from an image to the direction of the camera from the origin, not normalised.

    Args:
        size: image side in pixels; the input side is the largest power of two up to that and `LARGEST_SIZE`.

    Raises:
        ValueError: size < 4.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < SMALLEST_SIDE:
            raise ValueError(f"an image of {size} x {size} pixels shows no pose: {SMALLEST_SIDE} are needed")
        self.size = side = min(LARGEST_SIZE, 1 << (size.bit_length() - 1))
        layers: list[nn.Module] = []
        channels = 3
        while side > SMALLEST_SIDE:
            side //= 2
            wide = min(MOST_CHANNELS, 4 * MOST_CHANNELS // side)
            if channels > 3:
                layers += _convolution(channels, wide, stride=1)
            layers += _convolution(wide if channels > 3 else 3, wide, stride=2)
            channels = wide
        layers += [nn.Flatten(), nn.Linear(channels * side**2, 128), nn.LeakyReLU(0.1), nn.Linear(128, 3)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3"]:
        """Predict directions from images in [-1, 1], at least as large as the input side."""
        return self.layers(shrink(images, self.size))

    @torch.no_grad()
    def estimate(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 2"]:
        """Estimate (pitch, yaw), radians, yaw in [-pi/2, 3 pi/2]; on the device of the network."""
        device = next(self.parameters()).device
        flip = torch.tensor([-1.0, 1.0, 1.0], device=device)
        centres: list[Tensor] = []
        for batch in images.split(ESTIMATE_BATCH):
            signed = _signed(batch.to(device))
            centres.append(self(signed) + self(signed.flip(-1)) * flip)
        return poses_on_unit_sphere(normalize(torch.cat(centres), dim=-1))


def _convolution(channels: int, wide: int, *, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, wide, 3, stride=stride, padding=1)
    return [convolution, nn.GroupNorm(8, wide), nn.LeakyReLU(0.1)]


def shrink(images: Float[Tensor, "batch 3 height width"], size: int) -> Float[Tensor, "batch 3 size size"]:
    """Average images down to `size` pixels a side."""
    return images if images.shape[-1] == size else interpolate(images, size=size, mode="area")


def train_pose_network(
    images: UInt8[Tensor, "count 3 size size"],
    poses: Float[Tensor, "count 2"],
    *,
    steps: int,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> PoseNetwork:
    """Train a network on images and their mirror images.

    On a CPU the same seed and number of threads give the same weights.

    Args:
        images: training images.
        poses: (pitch, yaw) of each, radians.
        steps: updates on batches of 64 images.
        seed: seed of weights, order and flips; global random states do not change.
        device: device of the training.
        progress: called with the number of updates done.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PoseNetwork(images.shape[-1])
    network = network.to(device)
    rng = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for step in range(steps):
        batch, centres = (part.to(device) for part in _batch(images, poses, rng))
        loss = (network(batch) - centres).square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1)
    return network.eval().requires_grad_(False)


def _batch(images: Tensor, poses: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw augmented images, half of them flipped, and the centres of their cameras."""
    chosen = torch.randint(len(images), (BATCH_SIZE,), generator=rng)
    flipped = torch.rand(BATCH_SIZE, generator=rng) < 0.5
    batch, batch_poses = _signed(images[chosen]), poses[chosen]
    batch = torch.where(flipped[:, None, None, None], batch.flip(-1), batch)
    batch_poses = torch.where(flipped[:, None], mirror_poses(batch_poses), batch_poses)
    # colour augmentation
    contrast = 1.0 + TINT * torch.randn(BATCH_SIZE, 1, 1, 1, generator=rng)
    tint = TINT * torch.randn(BATCH_SIZE, 3, 1, 1, generator=rng)
    return batch * contrast + tint, on_unit_sphere(batch_poses)


def _signed(images: Tensor) -> Tensor:
    """Convert uint8 images to floats in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def save_pose_network(folder: Path, network: PoseNetwork, description: str) -> None:
    """Write a network and its description, JSON, atomically."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_folder(folder, {WEIGHTS: safetensors.torch.save(weights), DESCRIPTION: f"{description}\n".encode()})


def load_pose_network(folder: Path, size: int) -> PoseNetwork | None:
    """Load a saved network for images of this size; None if there is none."""
    network = PoseNetwork(size)
    try:
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (FileNotFoundError, SafetensorError, RuntimeError):  # missing, damaged, or of another size
        return None
    return network.eval().requires_grad_(False)
