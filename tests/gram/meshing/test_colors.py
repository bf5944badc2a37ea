"""Vertex colours are the field's, at the vertex, seen from outside."""

import numpy as np
import pytest
import torch
from trimesh.visual import ColorVisuals

from gram.meshing import color_vertices, extract_surface


@pytest.fixture(scope="module")
def sphere(box, ball):
    return extract_surface(ball(0.08), bounds=box, resolution=20, level=0.5)


@pytest.mark.parametrize("chunk", [50, 10**6])
def test_color_is_that_of_the_vertex(sphere, chunk):
    visual = color_vertices(sphere, lambda points, _: points / 0.24 + 0.5, chunk=chunk).visual
    assert isinstance(visual, ColorVisuals)
    expected = (sphere.vertices / 0.24 + 0.5) * 255
    np.testing.assert_allclose(visual.vertex_colors[:, :3], expected, atol=0.51)
    assert (visual.vertex_colors[:, 3] == 255).all()


def test_directions_look_at_the_surface_from_outside(sphere):
    seen = []

    def field(points, directions):
        seen.append((points, directions))
        return torch.zeros_like(points)

    color_vertices(sphere, field)
    points, directions = seen[0]
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(len(points)))
    assert ((directions * points).sum(-1) / points.norm(dim=-1)).max() < -0.98


def test_mesh_given_is_left_as_it_was(sphere):
    color_vertices(sphere, lambda points, _: torch.ones_like(points))
    assert isinstance(sphere.visual, ColorVisuals)
    assert sphere.visual.kind is None


def test_geometry_and_level_are_kept(sphere):
    colored = color_vertices(sphere, lambda points, _: torch.ones_like(points))
    assert np.array_equal(colored.vertices, sphere.vertices)
    assert np.array_equal(colored.faces, sphere.faces)
    assert colored.metadata["level"] == 0.5


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (lambda points, _: -torch.ones_like(points), r"go from -1 to -1.*\(x \+ 1\) / 2"),
        (lambda points, _: points * torch.nan, "in \\[0, 1\\] but go from nan"),
        (lambda points, _: torch.zeros(len(points), 1), r"give RGB"),
    ],
)
def test_values_that_are_no_colors_are_refused(sphere, field, message):
    with pytest.raises(ValueError, match=message):
        color_vertices(sphere, field)
