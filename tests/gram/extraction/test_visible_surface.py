"""The surface of a latent is where its pictures are, shown on a field in closed form."""

import math

import numpy as np
import pytest
import torch
import trimesh
from torch import nn

from gram.analysis.analytic_field import SEMI_AXES, AnalyticField
from gram.extraction.surface import PLANE_MARGIN, depth_error, visible_box, visible_surface
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.meshing import decimate, why_not_watertight
from gram.meshing.raycasting import mesh_depth
from gram.model.folder import build_generator
from gram.model.generator import Generator
from gram.rendering.samplers import PlaneSampler, StratifiedSampler

POSES = torch.tensor([[p, y] for p in (1.42, 1.72) for y in (1.27, 1.57, 1.87)])
OTHERS = torch.tensor([[1.5, 1.4], [1.62, 1.75]])


class Analytic(nn.Module):
    """The analytic field in place of a radiance field: every latent is the same ellipsoid."""

    box = 0.24

    def __init__(self) -> None:
        super().__init__()
        self.field = AnalyticField()

    def forward(self, points: torch.Tensor, directions: torch.Tensor, film: object, hit: object = None):
        return self.field(points, directions)


@pytest.fixture
def ellipsoid(generator: Generator) -> Generator:
    """A generator that draws the ellipsoid in front of its wall, with many samples a ray."""
    generator.radiance = Analytic()  # pyright: ignore[reportAttributeAccessIssue]
    generator.sampler = StratifiedSampler(points=96, near=0.88, far=1.12, background_z=-0.12)
    return generator


def test_surface_is_the_ellipsoid_that_cameras_see(ellipsoid: Generator) -> None:
    mesh = visible_surface(ellipsoid, torch.zeros(8), POSES, resolution=48)
    assert why_not_watertight(mesh) is None
    assert mesh.metadata["level"] == pytest.approx(0.5, abs=0.01)
    seen = mesh.vertices[mesh.vertices[:, 2] > 0.03] / np.array(SEMI_AXES)
    rho = np.linalg.norm(seen, axis=1)  # the soft border lets light in: half is stopped a little below 1
    assert 0.88 < np.quantile(rho, 0.05) < np.quantile(rho, 0.95) < 1.0


def test_depth_of_the_surface_is_that_of_pictures(ellipsoid: Generator) -> None:
    mesh = visible_surface(ellipsoid, torch.zeros(8), POSES, resolution=48)
    ellipsoid.fov = 0.08  # all within the outline, where depth is smooth
    error = depth_error(ellipsoid, torch.zeros(8), mesh, OTHERS, size=24)
    assert error < 0.24 / 47
    moved = mesh.copy()
    moved.apply_translation([0.0, 0.0, 0.02])
    assert depth_error(ellipsoid, torch.zeros(8), moved, OTHERS, size=24) > 2 * error
    assert depth_error(ellipsoid, torch.zeros(8), decimate(mesh, 500), OTHERS, size=24) < 1.5 * error


def test_depth_behind_a_mesh_is_the_wall(ellipsoid: Generator) -> None:
    speck = trimesh.creation.icosphere(subdivisions=1, radius=1e-4)
    speck.apply_translation([0.0, 5.0, 0.0])  # out of sight
    pose = torch.tensor([[math.pi / 2, math.pi / 2]])
    error = depth_error(ellipsoid, torch.zeros(8), speck, pose, size=24)
    with torch.no_grad():
        depth = ellipsoid.render(torch.zeros(1, 8), pose, size=24).depth
    rays = pixel_rays(look_at_origin(pose), size=24, fov=ellipsoid.fov)
    wall = -1.12 / rays.directions[..., 2]
    assert error == pytest.approx(float((wall - depth.flatten(1)).abs().mean()), rel=1e-4)
    assert error > 0.03


class Misty(Analytic):
    """Above the ellipsoid a field that is dense only where no surface ever meets it."""

    def forward(self, points: torch.Tensor, directions: torch.Tensor, film: object, hit: object = None):
        rgb, density = self.field(points, directions)
        between = ((points[..., 2] / 0.06) % 1.0 - 0.5).abs() < 0.2  # planes lie at multiples of 0.06
        return rgb, torch.where((points[..., 1] > 0.1) & between, 100.0, density)


def test_what_no_picture_shows_is_no_part_of_the_surface(generator: Generator) -> None:
    generator.radiance = Misty()  # pyright: ignore[reportAttributeAccessIssue]
    generator.sampler = PlaneSampler(points=5, delta=0.06, near=0.88, far=1.12, background_z=-0.12)
    mesh = visible_surface(generator, torch.zeros(8), POSES, resolution=48)
    assert mesh.bounds[1, 1] < 0.105
    assert mesh.bounds[0, 1] < -0.07


class Pierced(Analytic):
    """The ellipsoid with a hole along z, as wide as a pupil."""

    def forward(self, points: torch.Tensor, directions: torch.Tensor, film: object, hit: object = None):
        rgb, density = self.field(points, directions)
        hole = (points[..., :2].norm(dim=-1) < 0.008) & (points[..., 2] > 0.0)
        return rgb, torch.where(hole, 0.0, density)


@pytest.mark.parametrize("fill", [0.0, 0.015])
def test_a_hole_is_filled_if_that_is_asked_for(ellipsoid: Generator, fill: float) -> None:
    ellipsoid.radiance = Pierced()  # pyright: ignore[reportAttributeAccessIssue]
    mesh = visible_surface(ellipsoid, torch.zeros(8), POSES, resolution=64, fill=fill)
    rays = pixel_rays(look_at_origin(torch.tensor([[math.pi / 2, math.pi / 2]])), size=65, fov=ellipsoid.fov)
    depth = mesh_depth(mesh, rays)[0].view(65, 65)
    depression = float(depth[32, 32] - depth[32, 40])  # 0.026 aside the ellipsoid is 0.005 lower
    assert (depression < 0.005) if fill else (depression > 0.02)


def test_an_untrained_model_has_a_surface_too(generator: Generator) -> None:
    mesh = visible_surface(generator, torch.zeros(8), POSES, resolution=16)
    assert why_not_watertight(mesh) is None
    assert 0 < mesh.metadata["level"] <= 0.5


def test_a_level_beyond_the_most_there_is_is_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match=r"level 0\.99999 is outside the field's range"):
        visible_surface(generator, torch.zeros(8), POSES, resolution=12, level=0.99999)


def bounds_of(
    *, box: float, near: float, far: float, background_z: float | None
) -> list[tuple[float, float]]:
    settings = {
        "generator": {"fov": 0.5, "z_dim": 4, "mapping_width": 4, "mapping_layers": 1},
        "radiance": {"width": 4, "layers": 2, "box": box},
        "manifold": {"width": 4, "hidden_layers": 1, "centre": [0.0, 0.0, 0.0]},
        "sampler": {"kind": "manifold", "levels": 2, "first_level": 9.0, "last_level": 8.0, "num_samples": 4}
        | {"delta": 0.1, "near": near, "far": far, "background_z": background_z},
    }  # fmt: skip
    return visible_box(build_generator(settings))


def test_heads_are_looked_for_in_front_of_the_plane() -> None:
    sides, _, depth = bounds_of(box=0.24, near=0.88, far=1.12, background_z=-0.12)
    assert sides == (-0.12, 0.12)
    assert depth == (-0.12 + PLANE_MARGIN, 0.12)


@pytest.mark.parametrize("box", [0.6, 2.0])
def test_nothing_is_looked_for_beyond_what_rays_cross(box: float) -> None:
    for low, high in bounds_of(box=box, near=0.7, far=1.3, background_z=None):
        assert (low, high) == pytest.approx((-0.3, 0.3))


def test_layers_share_the_space_that_rays_cross(generator: Generator) -> None:
    assert generator.sampler.layer_spacing == pytest.approx(0.24 / 4)
    volume = StratifiedSampler(points=12, near=0.88, far=1.12, background_z=None)
    assert volume.layer_spacing == pytest.approx(volume.typical_delta)
