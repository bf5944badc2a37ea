"""Backgrounds: losses in closed form, and that they lead where they should."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.geometry.poses import GaussianPoses
from gram.model.folder import build_generator
from gram.model.generator import Generator
from gram.training.background import (
    INDECISION,
    border,
    border_loss,
    edge_loss,
    foreground_loss,
    nearness_to_edge,
)

SIZE = 12
FRONT = torch.full((1, 2), math.pi / 2)


def some(generator: Generator, count: int = 3) -> tuple[Tensor, Tensor]:
    """Latents and poses."""
    rng = torch.Generator().manual_seed(0)
    return torch.randn(count, generator.z_dim, generator=rng), GaussianPoses().sample(count, generator=rng)


def test_a_foreground_of_the_right_size_that_is_nowhere_transparent_costs_nothing() -> None:
    opacity = torch.zeros(2, 4, 4)
    opacity[0, :, :2] = opacity[1, 2:] = 1.0
    assert float(foreground_loss(opacity, 0.5)) == 0.0
    assert float(foreground_loss(opacity, 0.25)) == pytest.approx(0.0625)


def test_every_image_has_to_have_its_foreground() -> None:
    one_has_all = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)])
    assert float(foreground_loss(one_has_all, 0.5)) == pytest.approx(0.25)


def test_half_transparent_rays_are_pushed_apart() -> None:
    opacity = torch.tensor([[[0.4, 0.6], [0.6, 0.4]]], requires_grad=True)
    loss = foreground_loss(opacity, 0.5)
    (gradient,) = torch.autograd.grad(loss, opacity)
    assert float(loss.detach()) == pytest.approx(INDECISION * 0.24)
    torch.testing.assert_close(gradient, INDECISION * (1.0 - 2.0 * opacity.detach()) / 4)


@pytest.mark.parametrize("size", [8, 32, 33])
def test_the_border_is_the_upper_edge_and_the_upper_part_of_the_sides(size: int) -> None:
    found, middle = border(size), size // 2
    assert found[0].all() and found[: middle + 1, 0].all()
    assert torch.equal(found, found.flip(1))
    assert not found[-size // 4 :].any()
    assert not found[size // 4 :, size // 4 : -size // 4].any()
    assert 0.1 < float(found.float().mean()) <= 0.25


def test_nearness_grows_from_the_end_of_the_border_to_the_edge() -> None:
    found = nearness_to_edge(41)  # 0.05 apart: the border is 4 wide
    expected = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0, 0.0])
    torch.testing.assert_close(found[:6, 20], expected)
    torch.testing.assert_close(found[15, :6], expected)
    torch.testing.assert_close(found[15, -6:], expected.flip(0))
    torch.testing.assert_close(found[0], torch.ones(41))  # corners belong to both edges
    assert not found[25:].any()


def test_what_stands_at_the_edge_costs_and_what_stands_elsewhere_does_not() -> None:
    opacity = torch.zeros(2, 33, 33)
    opacity[:, ~border(33)] = 1.0
    assert float(edge_loss(opacity)) == 0.0
    opacity[0] = 0.5
    assert float(edge_loss(opacity)) == pytest.approx(0.25 * float(nearness_to_edge(33).mean()))


class OneColor(torch.nn.Module):
    """A field that is nowhere and has one colour."""

    def __init__(self, color: Tensor) -> None:
        super().__init__()
        self.color = torch.nn.Parameter(color)

    def forward(self, points: Tensor, directions: Tensor, film: object) -> tuple[Tensor, Tensor]:
        return self.color.expand_as(points), torch.zeros_like(points[..., 0])


def test_the_border_loss_of_one_colour_in_closed_form(generator: Generator) -> None:
    color = torch.tensor([0.25, 0.5, 1.0])
    field = OneColor(color)
    generator.radiance = field  # pyright: ignore[reportAttributeAccessIssue]
    images = torch.full((1, 3, SIZE, SIZE), 0.5, requires_grad=True)
    where = border(SIZE)
    images.data[:, :, ~where] = torch.nan  # what is no border is not looked at
    loss = border_loss(generator, generator.mapping(torch.zeros(1, 8)), FRONT, images)
    assert float(loss.detach()) == pytest.approx(float(((color * 2 - 1) - 0.5).square().mean()))
    (gradient,) = torch.autograd.grad(loss, field.color)
    torch.testing.assert_close(gradient, 4.0 * (color * 2 - 1 - 0.5) / 3.0)


@pytest.mark.parametrize("kind", ["manifold", "stratified"])
def test_it_gives_the_background_the_colours_of_the_border_though_surfaces_hide_it(
    settings: dict[str, Any], kind: str
) -> None:
    if kind == "stratified":
        settings["sampler"] = {"kind": kind, "points": 8, "near": 0.88, "far": 1.12, "background_z": -0.12}
    torch.manual_seed(0)
    generator = build_generator(settings)
    z, poses = some(generator)
    images = torch.zeros(3, 3, SIZE, SIZE)
    images[:] = torch.tensor([0.8, -0.8, 0.2])[:, None, None]
    optimizer = Adam(generator.radiance.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        border_loss(generator, generator.mapping(z), poses, images).backward()
        optimizer.step()
    rays = pixel_rays(look_at_origin(poses), size=SIZE, fov=generator.fov)
    points = rays.at(generator.sampler.background_t(rays)[..., None])[..., 0, :]
    rgb, _ = generator.radiance(points, rays.directions, generator.mapping(z))
    there = border(SIZE).flatten()
    assert float((rgb[:, there] * 2 - 1 - images.flatten(2).mT[:, there]).detach().abs().mean()) < 0.15


def test_where_rays_end_is_where_their_background_is(generator: Generator) -> None:
    rays = pixel_rays(look_at_origin(some(generator)[1]), size=SIZE, fov=generator.fov)
    t = generator.sampler.background_t(rays)
    torch.testing.assert_close(t, generator.sampler.sample(rays).t[..., -1])
    heights = rays.at(t[..., None])[..., 0, 2]
    torch.testing.assert_close(heights, torch.full_like(heights, -0.12))
