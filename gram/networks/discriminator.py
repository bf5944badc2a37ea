"""Discriminator: CoordConv residual blocks down to a logit and a camera pose."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, leaky_relu

from gram.networks.layers import LEAKY_SLOPE, Stack
from gram.shapes import Float

FULL_CHANNELS_LOG2 = 13
"""Log2 of the channel count times the resolution, as long as max_channels is not exceeded."""


class CoordConv(nn.Conv2d):
    """Convolution over the input and two coordinate channels, height and width in [-1, 1]."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, padding: int) -> None:
        super().__init__(in_channels + 2, out_channels, kernel_size, padding=padding)

    def forward(
        self, input: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch out size size"]:
        """Convolve; the contribution of the coordinates is shared by all images and computed once."""
        # coordinates (1, 2, size, size): height, width
        line = torch.linspace(-1.0, 1.0, input.shape[-1], dtype=input.dtype, device=input.device)
        coordinates = torch.stack(torch.meshgrid(line, line, indexing="ij"))[None]
        # convolution of features plus that of coordinates
        features, position = self.weight[:, :-2], self.weight[:, -2:]
        offset = conv2d(coordinates, position, self.bias, padding=self.padding)  # (1, out, size, size)
        return conv2d(input, features, padding=self.padding) + offset


class ResidualBlock(nn.Module):
    """Residual block of two 3x3 CoordConvs that halves the resolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = CoordConv(in_channels, out_channels, 3, padding=1)
        self.second = CoordConv(out_channels, out_channels, 3, padding=1)
        self.shortcut = (
            nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        )

    def forward(self, x: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch out half half"]:
        """Compute features at half the resolution; the sum is scaled to keep the variance."""
        y = leaky_relu(self.second(leaky_relu(self.first(x), LEAKY_SLOPE)), LEAKY_SLOPE)
        return (avg_pool2d(y, 2) + self.shortcut(avg_pool2d(x, 2))) / math.sqrt(2.0)


class Discriminator(nn.Module):
    """Discriminator of images with a logit (positive for real) and a predicted (pitch, yaw).

    Args:
        size: image side in pixels, a power of two >= 4.
        width: factor on all channel counts (1 as published).
        max_channels: upper bound of the channel counts before that factor.

    Attributes:
        channels_last: memory layout of activations, faster on GPUs. Weights stay contiguous, as in
            checkpoints: fused Adam needs gradients and moments in the layout of the weights.

    Raises:
        ValueError: size is no power of two.
    """

    def __init__(self, *, size: int, width: float = 1.0, max_channels: int = 400) -> None:
        super().__init__()
        log2 = size.bit_length() - 1
        if size < 4 or size != 1 << log2:
            raise ValueError(
                f"discriminator for {size} x {size} pixels: the side must be a power of two, 4 or more"
            )
        # channels double as the resolution halves, down to 2 x 2
        exponents = range(FULL_CHANNELS_LOG2 - log2, FULL_CHANNELS_LOG2)
        channels = [max(1, round(width * min(max_channels, 2**e))) for e in exponents]
        self.size = size
        self.channels_last = False
        self.from_rgb = nn.Conv2d(3, channels[0], 1)
        self.blocks = Stack(ResidualBlock(i, o) for i, o in pairwise(channels))
        self.output = nn.Conv2d(channels[-1], 3, 2)

    def forward(
        self, images: Float[Tensor, "batch 3 size size"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch 2"]]:
        """Compute logits and predicted poses (radians) of images in [-1, 1]."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        x = leaky_relu(self.from_rgb(images), LEAKY_SLOPE)
        for block in self.blocks:
            x = block(x)
        # (batch, 3): logit, pitch, yaw
        logits, *pose = self.output(x).flatten(1).unbind(1)
        return logits, torch.stack(pose, dim=1)
