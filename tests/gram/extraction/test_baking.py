"""Baked manifolds look like the network's own rendering."""

import copy
import math
from typing import Any

import pytest
import torch
from small_model import smooth_settings, vivid_generator

from gram.extraction.baking import bake
from gram.geometry.poses import GaussianPoses
from gram.meshing.layers import as_mesh, draw_layers
from gram.model.folder import build_generator
from gram.model.generator import Generator

PRIOR = GaussianPoses()
SIZE = 24


def psnr(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Of images in [-1, 1], decibels."""
    return -10.0 * math.log10(float(((ours - theirs) / 2.0).square().mean()))


@pytest.fixture(params=["plane", "white"])
def drawn(request: pytest.FixtureRequest) -> Generator:
    behind = -0.12 if request.param == "plane" else None
    return vivid_generator(smooth_settings(background_z=behind), layers=6.0, heads=12.0)


def seen(count: int = 24) -> torch.Tensor:
    return PRIOR.sample(count, generator=torch.Generator().manual_seed(0))


def latents(count: int) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(1))


def test_it_looks_like_the_network_from_everywhere(drawn: Generator) -> None:
    z, poses = latents(2), PRIOR.sample(4, generator=torch.Generator().manual_seed(2))
    drawings = [drawn.render(one.expand(4, -1), poses, size=SIZE).image for one in z]
    for one, expected in zip(z, drawings, strict=True):
        baked = bake(drawn, one, seen(), resolution=128)
        assert psnr(baked.render(poses, size=SIZE), expected) > 45.0
    assert psnr(*drawings) < 30.0  # latents do not look alike


def test_finer_maps_are_closer(drawn: Generator) -> None:
    z, poses = latents(1), PRIOR.sample(3, generator=torch.Generator().manual_seed(2))
    expected = drawn.render(z.expand(3, -1), poses, size=SIZE).image
    coarse, fine = (
        psnr(bake(drawn, z[0], seen(), resolution=size).render(poses, size=SIZE), expected)
        for size in (6, 96)
    )
    assert fine > coarse + 15.0


def test_charts_can_be_shared_by_latents(drawn: Generator) -> None:
    z, poses = latents(2), seen(2)
    first = bake(drawn, z[0], seen(), resolution=32)
    again = bake(drawn, z[1], seen(), resolution=32, charts=first.charts)
    alone = bake(drawn, z[1], seen(), resolution=32)
    assert torch.equal(again.render(poses, size=12), alone.render(poses, size=12))


def test_images_do_not_depend_on_their_batch(drawn: Generator) -> None:
    baked, poses = bake(drawn, latents(1)[0], seen(), resolution=32), seen(3)
    together = baked.render(poses, size=12)
    assert together.shape == (3, 3, 12, 12)
    assert torch.equal(together[1:2], baked.render(poses[1:2], size=12))
    assert together.abs().max() <= 1.0


def test_its_layers_drawn_in_order_look_like_the_network(drawn: Generator) -> None:
    z, poses = latents(1), PRIOR.sample(4, generator=torch.Generator().manual_seed(2))
    expected = drawn.render(z.expand(4, -1), poses, size=SIZE).image
    layers = bake(drawn, z[0], seen(), resolution=128).layers()
    pictures = draw_layers([as_mesh(layer) for layer in layers], poses, size=SIZE, fov=drawn.fov)
    # Without a plane that hides it, the edge where each camera stops to see the surfaces is in the picture.
    assert psnr(pictures, expected) > (32.0 if drawn.sampler.white_background else 40.0)
    behind_is_last = draw_layers([as_mesh(layer) for layer in layers[::-1]], poses, size=SIZE, fov=drawn.fov)
    assert psnr(behind_is_last, expected) < 30.0


def test_samplers_without_isosurfaces_are_refused(settings: dict[str, Any]) -> None:
    volume = copy.deepcopy(settings)
    volume["sampler"] = {"kind": "stratified", "points": 5, "near": 0.88, "far": 1.12}
    with pytest.raises(ValueError, match="a StratifiedSampler has no isosurfaces"):
        bake(build_generator(volume), latents(1)[0], seen())
