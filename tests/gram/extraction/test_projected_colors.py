"""Meshes have the colours that pictures show, wherever a picture shows them."""

import math

import numpy as np
import pytest
import torch
import trimesh

from gram.extraction.projected_colors import ProjectedColors
from gram.geometry.cameras import look_at_origin, pixel_rays, project
from gram.geometry.poses import GaussianPoses
from gram.meshing import color_vertices, render_mesh
from gram.model.folder import build_generator
from gram.model.generator import Generator

FRONT = torch.full((1, 2), math.pi / 2)
POSES = torch.tensor([[math.pi / 2, math.pi / 2 + yaw] for yaw in (-0.4, -0.2, 0.0, 0.2, 0.4)])


def ball(radius: float = 0.06) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=3, radius=radius)


class Striped(torch.nn.Module):
    """An opaque ball whose colour grows from left to right; what is inside of it has another."""

    box = 0.24

    def forward(self, points: torch.Tensor, directions: torch.Tensor, film: object, hit: object = None):
        distance = points.norm(dim=-1)
        outside = torch.stack([points[..., 0] / 0.24 + 0.5, *[torch.full_like(distance, 0.2)] * 2], -1)
        inside = torch.tensor([0.0, 0.0, 1.0]).expand_as(outside)
        rgb = torch.where(distance[..., None] > 0.066, outside, inside)
        return rgb, torch.where(distance < 0.07, 2000.0, 0.0)


@pytest.fixture
def striped(settings) -> Generator:
    settings["sampler"] = {"kind": "stratified", "points": 96, "near": 0.88, "far": 1.12}
    generator = build_generator(settings)
    generator.radiance = Striped()  # pyright: ignore[reportAttributeAccessIssue]
    return generator


def test_a_surface_inside_has_the_colours_that_are_seen_and_not_its_own(striped: Generator) -> None:
    """As meshes of manifolds, which lie between the surfaces that pictures show."""
    mesh, z = ball(0.064), torch.zeros(8)
    points, normals = (
        torch.tensor(np.array(of), dtype=torch.float32) for of in (mesh.vertices, mesh.vertex_normals)
    )
    front = normals[:, 2] > 0.7
    seen = ProjectedColors(striped, z, POSES)(points[front], -normals[front])
    assert (striped.color(z, points, -normals)[:, 2] == 1.0).all()
    torch.testing.assert_close(seen[:, 2], torch.full_like(seen[:, 2], 0.2), rtol=0, atol=0.02)
    assert torch.corrcoef(torch.stack([seen[:, 0], points[front, 0]]))[0, 1] > 0.99


def test_what_no_picture_shows_has_the_fields_own_colour(striped: Generator) -> None:
    mesh, z = ball(), torch.zeros(8)
    points, normals = (
        torch.tensor(np.array(of), dtype=torch.float32) for of in (mesh.vertices, mesh.vertex_normals)
    )
    behind = normals[:, 2] < -0.5
    found = ProjectedColors(striped, z, POSES)(points[behind], -normals[behind])
    torch.testing.assert_close(found, striped.color(z, points[behind], -normals[behind]))


def test_what_is_hidden_does_not_have_the_colour_of_what_hides_it(striped: Generator) -> None:
    z, point, towards = torch.zeros(8), torch.tensor([[0.0, 0.0, -0.06]]), torch.tensor([[0.0, 0.0, -1.0]])
    found = ProjectedColors(striped, z, FRONT)(point, towards)
    torch.testing.assert_close(found, striped.color(z, point, towards))


def test_a_mesh_painted_so_is_like_the_picture(generator: Generator) -> None:
    """Whatever an untrained generator paints, on any surface."""
    z, mesh = torch.randn(8, generator=torch.Generator().manual_seed(0)), ball(0.08)
    painted = color_vertices(mesh.subdivide(), ProjectedColors(generator, z, FRONT))
    shown = render_mesh(painted, FRONT, size=33, fov=generator.fov, colored=True)[0] / 255.0
    seen = generator.render(z[None], FRONT, size=33, background=False)
    front = ((seen.image + 1.0) / 2.0 / seen.opacity[:, None].clamp(min=1e-6))[0].permute(1, 2, 0).numpy()
    inner = slice(11, 22)  # where the ball faces the camera
    assert np.abs(shown - front)[inner, inner].mean() < 0.02


def test_pixels_are_where_their_rays_go() -> None:
    poses = GaussianPoses().sample(3, generator=torch.Generator().manual_seed(0))
    cam2world = look_at_origin(poses)
    rays = pixel_rays(cam2world, size=5, fov=0.2)
    t = torch.linspace(0.9, 1.1, 25)
    places, distance = project(rays.at(t[:, None].expand(3, 25, 1))[..., 0, :], cam2world, fov=0.2)
    line = torch.linspace(-1.0, 1.0, 5)
    expected = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(25, 2)
    torch.testing.assert_close(places, expected.expand(3, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(distance, t.expand(3, -1), rtol=0, atol=1e-5)
    behind, _ = project(cam2world[:, None, :3, 3] * 2.0, cam2world, fov=0.2)
    assert behind.isinf().all()
