"""A small network that tells from where a picture was taken, to ask generated pictures whether they obey.

It answers with the centre of the camera on the unit sphere, where angles have no end at which they jump. A
picture and its mirror image are asked together, so mirrored pictures have mirrored poses by construction.
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
"""Larger pictures are averaged down to this many pixels a side: poses are coarse things."""
SMALLEST_SIDE, MOST_CHANNELS = 4, 64
BATCH_SIZE = 64
LEARNING_RATE = 6e-3
TINT = 0.1
"""Standard deviation of brightness and tint that training adds: colours are no matter of the pose."""
ASKED_TOGETHER = 256
WEIGHTS = "pose_network.safetensors"
DESCRIPTION = "pose_network.json"

Progress = Callable[[int], None]


class PoseNetwork(nn.Module):
    """Picture -> direction of the camera from the origin, not of unit length.

    Args:
        size: pixels along one side of the pictures; the network's own is the largest power of two that is
            neither above that nor above `LARGEST_SIZE`.

    Raises:
        ValueError: less than 4 pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < SMALLEST_SIDE:
            raise ValueError(f"a picture of {size} x {size} pixels shows no pose: {SMALLEST_SIDE} are needed")
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
        """Directions from pictures in [-1, 1] of any size that is at least the network's."""
        return self.layers(shrink(images, self.size))

    @torch.no_grad()
    def estimate(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 2"]:
        """(pitch, yaw) of the cameras, radians, yaw in [-pi/2, 3 pi/2]; on the device of the network."""
        device = next(self.parameters()).device
        flip = torch.tensor([-1.0, 1.0, 1.0], device=device)
        found: list[Tensor] = []
        for some in images.split(ASKED_TOGETHER):
            pictures = _signed(some.to(device))
            found.append(self(pictures) + self(pictures.flip(-1)) * flip)
        return poses_on_unit_sphere(normalize(torch.cat(found), dim=-1))


def _convolution(channels: int, wide: int, *, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, wide, 3, stride=stride, padding=1)
    return [convolution, nn.GroupNorm(8, wide), nn.LeakyReLU(0.1)]


def shrink(images: Float[Tensor, "batch 3 height width"], size: int) -> Float[Tensor, "batch 3 size size"]:
    """Pictures averaged down to `size` pixels a side."""
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
    """A network trained on pictures and their mirror images.

    On a CPU the same seed and number of threads give the same weights.

    Args:
        images: to learn from.
        poses: (pitch, yaw) of each, radians.
        steps: updates of 64 pictures.
        seed: of weights, order and flips; no other randomness is touched.
        device: to train on.
        progress: is told the number of updates that are done.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PoseNetwork(images.shape[-1])
    network = network.to(device)
    rng = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for step in range(steps):
        pictures, towards = (part.to(device) for part in _batch(images, poses, rng))
        loss = (network(pictures) - towards).square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1)
    return network.eval().requires_grad_(False)


def _batch(images: Tensor, poses: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures, half of them flipped, a little brighter or darker, and directions of their cameras."""
    which = torch.randint(len(images), (BATCH_SIZE,), generator=rng)
    flipped = torch.rand(BATCH_SIZE, generator=rng) < 0.5
    pictures, seen_from = _signed(images[which]), poses[which]
    pictures = torch.where(flipped[:, None, None, None], pictures.flip(-1), pictures)
    seen_from = torch.where(flipped[:, None], mirror_poses(seen_from), seen_from)
    contrast = 1.0 + TINT * torch.randn(BATCH_SIZE, 1, 1, 1, generator=rng)
    tint = TINT * torch.randn(BATCH_SIZE, 3, 1, 1, generator=rng)
    return pictures * contrast + tint, on_unit_sphere(seen_from)


def _signed(images: Tensor) -> Tensor:
    """uint8 as floats in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def save_pose_network(folder: Path, network: PoseNetwork, description: str) -> None:
    """Write a network and what it was made from, JSON, whole or not at all."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_folder(folder, {WEIGHTS: safetensors.torch.save(weights), DESCRIPTION: f"{description}\n".encode()})


def load_pose_network(folder: Path, size: int) -> PoseNetwork | None:
    """The network for pictures of a size that `save_pose_network` wrote; None if there is none like that."""
    network = PoseNetwork(size)
    try:
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (FileNotFoundError, SafetensorError, RuntimeError):  # absent, damaged, or of another size
        return None
    return network.eval().requires_grad_(False)
