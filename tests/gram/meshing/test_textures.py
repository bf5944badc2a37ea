"""A texture shows the field that it was baked from, everywhere on the surface, and through every filter."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from gram.meshing import bake_texture, decimate, extract_surface
from gram.meshing.files import base_color
from gram.meshing.raycasting import MeshScene, interpolate
from gram.meshing.textures import unwrap

SIZE = 128


def waves(points, _directions=None):
    """Colours with 0.05 from crest to crest, several texels."""
    return 0.5 + 0.4 * torch.sin(points * (2 * math.pi / 0.05))


@pytest.fixture(scope="module")
def sphere(box, ball):
    return decimate(extract_surface(ball(0.08), bounds=box, resolution=48, level=0.5), 2000)


@pytest.fixture(scope="module")
def baked(sphere):
    return bake_texture(sphere, waves, size=SIZE)


def bilinear(image, uv):
    """As graphics cards look a texture up, (0, 0) the lower left corner."""
    height, width = image.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros((len(uv), 3))
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - np.abs(x - left - dx)) * (1 - np.abs(y - top - dy))
            at = image[(top + dy).clip(0, height - 1), (left + dx).clip(0, width - 1)]
            total += weight[:, None] * at
    return total


def seen_from_centre(mesh, image, count=5000):
    """Points of the surface in all directions, and what the texture shows there."""
    directions = np.random.default_rng(0).normal(size=(count, 3))
    found = MeshScene(mesh.vertices, mesh.faces).intersect(np.zeros((count, 3)), directions)
    assert found.hit.all()
    corners = mesh.faces[found.faces]
    points = interpolate(mesh.vertices, corners, found.weights)
    return points, bilinear(image, interpolate(mesh.visual.uv, corners, found.weights))


def psnr(shown, points):
    wanted = waves(torch.from_numpy(points)).numpy() * 255
    return 20 * math.log10(255) - 10 * math.log10(np.square(shown - wanted).mean())


def test_field_comes_back_at_40_decibels(baked):
    points, shown = seen_from_centre(baked, np.asarray(base_color(baked), dtype=float))
    assert psnr(shown, points) > 40


def test_more_texels_show_more(sphere, baked):
    coarse = bake_texture(sphere, waves, size=32)
    results = [
        psnr(*reversed(seen_from_centre(mesh, np.asarray(base_color(mesh), dtype=float))))
        for mesh in (coarse, baked)
    ]
    assert results[1] > results[0] + 6


def test_gutters_hold_no_other_color(sphere):
    """A field of one colour fills the whole picture, so no filter can bring in another."""
    red = bake_texture(
        sphere, lambda points, _: torch.tensor([[1.0, 0.0, 0.0]]).expand(len(points), 3), size=64
    )
    assert (np.asarray(base_color(red)) == [255, 0, 0]).all()


def test_gutters_continue_what_is_beside_them(sphere):
    """Half the resolution, as a mip map has it, mixes texels across the rims of charts: no seam shows."""

    def slow(points, _):
        return points / 0.24 + 0.5

    mesh = bake_texture(sphere, slow, size=SIZE)
    picture = base_color(mesh)
    halved = np.asarray(picture.resize((SIZE // 2, SIZE // 2), Image.Resampling.BOX), dtype=float)
    points, shown = seen_from_centre(mesh, halved)
    assert np.abs(shown - (points / 0.24 + 0.5) * 255).max() < 16


def test_texels_are_seen_along_the_inward_normal(sphere):
    seen = []

    def field(points, directions):
        seen.append((points, directions))
        return torch.zeros_like(points)

    bake_texture(sphere, field, size=32)
    points, directions = (torch.cat(parts) for parts in zip(*seen, strict=True))
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(len(points)))
    assert ((directions * points).sum(-1) / points.norm(dim=-1)).max() < -0.98
    assert (points.norm(dim=-1) - 0.08).abs().max() < 2e-3


def test_geometry_is_kept_and_normals_know_no_seams(sphere, baked):
    assert len(baked.faces) == len(sphere.faces)
    assert baked.volume == pytest.approx(sphere.volume)
    assert baked.metadata["level"] == 0.5
    atlas = unwrap(sphere, size=SIZE)
    np.testing.assert_allclose(sphere.vertices[atlas.origin], baked.vertices)
    assert len(baked.vertices) > len(sphere.vertices)
    np.testing.assert_allclose(baked.vertex_normals, sphere.vertex_normals[atlas.origin], atol=1e-6)


def test_uv_lie_in_the_picture_and_triangles_do_not_overlap(sphere):
    atlas = unwrap(sphere, size=SIZE)
    assert atlas.uv.min() >= 0 and atlas.uv.max() <= 1
    corners = atlas.uv[atlas.faces]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    covered = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2
    assert 0.3 < covered < 1


@pytest.mark.parametrize("size", [-1, 0, 15])
def test_a_texture_without_room_is_refused(sphere, size):
    with pytest.raises(ValueError, match="too small; take at least 16"):
        bake_texture(sphere, waves, size=size)
