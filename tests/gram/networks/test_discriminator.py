"""The discriminator against a slow reference of section 7, its shapes and its limits."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, leaky_relu

from gram.networks.discriminator import CoordConv, Discriminator, ResidualBlock


def coord_conv_slowly(conv: CoordConv, x: Tensor) -> Tensor:
    """The convolution of the input with two coordinate channels appended, height first."""
    batch, _, height, width = x.shape
    down, across = torch.zeros(batch, 1, height, width), torch.zeros(batch, 1, height, width)
    for i in range(height):
        for j in range(width):
            down[:, 0, i, j] = -1.0 + 2.0 * i / (height - 1)
            across[:, 0, i, j] = -1.0 + 2.0 * j / (width - 1)
    return conv2d(torch.cat([x, down, across], 1), conv.weight, conv.bias, padding=1)


def block_slowly(block: ResidualBlock, x: Tensor) -> Tensor:
    y = leaky_relu(coord_conv_slowly(block.first, x), 0.2)
    y = leaky_relu(coord_conv_slowly(block.second, y), 0.2)
    return (avg_pool2d(y, 2) + block.shortcut(avg_pool2d(x, 2))) / math.sqrt(2)


def test_it_agrees_with_coordinates_appended_to_every_input() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(size=16, width=0.03)
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    x = leaky_relu(conv2d(images, discriminator.from_rgb.weight, discriminator.from_rgb.bias), 0.2)
    for block in discriminator.blocks:
        x = block_slowly(block, x)
    assert x.shape[2:] == (2, 2)
    expected = conv2d(x, discriminator.output.weight, discriminator.output.bias)[:, :, 0, 0]
    logits, poses = discriminator(images)
    torch.testing.assert_close(logits, expected[:, 0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(poses, expected[:, 1:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "channels"),
    [
        (32, [256, 400, 400, 400, 400]),
        (64, [128, 256, 400, 400, 400, 400]),
        (256, [32, 64, 128, 256, 400, 400, 400, 400]),
    ],
)
def test_channels_are_those_published(size: int, channels: list[int]) -> None:
    with torch.device("meta"):
        discriminator = Discriminator(size=size)
    found = [discriminator.from_rgb.out_channels, *(b.second.out_channels for b in discriminator.blocks)]
    assert found == channels
    assert discriminator.output.in_channels == channels[-1]


def test_width_scales_channels_and_never_removes_them_all() -> None:
    half = Discriminator(size=32, width=0.1, max_channels=400)
    assert [b.second.out_channels for b in half.blocks] == [40, 40, 40, 40]
    assert half.from_rgb.out_channels == 26
    assert Discriminator(size=8, width=1e-9).from_rgb.out_channels == 1


@pytest.mark.parametrize("size", [4, 8, 32])
@pytest.mark.parametrize("batch", [1, 3])
def test_one_logit_and_one_pose_an_image(size: int, batch: int) -> None:
    logits, poses = Discriminator(size=size, width=0.01)(torch.zeros(batch, 3, size, size))
    assert logits.shape == (batch,)
    assert poses.shape == (batch, 2)


def test_images_of_a_batch_do_not_see_each_other(discriminator: Discriminator) -> None:
    images = torch.rand(4, 3, 8, 8)
    together, _ = discriminator(images)
    alone = torch.cat([discriminator(image[None])[0] for image in images])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)


def test_it_tells_left_from_right_even_on_an_empty_convolution() -> None:
    conv = CoordConv(1, 1, 3, padding=1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 1, 1, 1], conv.weight[0, 2, 1, 1] = 10.0, 1.0  # height, width
        assert conv.bias is not None
        conv.bias.zero_()
        out = conv(torch.zeros(1, 1, 3, 3))[0, 0]
    expected = torch.tensor([[-11.0, -10.0, -9.0], [-1.0, 0.0, 1.0], [9.0, 10.0, 11.0]])
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 6, 12, 100])
def test_a_side_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(ValueError) as error:
        Discriminator(size=size)
    expected = f"discriminator for {size} x {size} pixels: the side must be a power of two, 4 or more"
    assert str(error.value) == expected


def test_the_layout_of_activations_changes_no_output(discriminator: Discriminator) -> None:
    images = torch.randn(3, 3, 8, 8)
    expected = discriminator(images)
    discriminator.channels_last = True
    for ours, theirs in zip(discriminator(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
