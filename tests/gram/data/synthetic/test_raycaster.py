"""Ray casting against slow references: cameras, first hits, depth, normals."""

import io

import numpy as np
import pytest
import torch
import trimesh

from gram.data.cameras import camera_frame, cross, dot, pixel_directions
from gram.data.synthetic.raycaster import Mesh, RayCaster, decode_srgb, encode_srgb, render, render_depth
from gram.geometry.cameras import look_at_origin, pixel_rays

POSES = [(np.pi / 2, np.pi / 2), (1.2, 2.0), (1.9, 0.4), (0.3, -2.5)]
FOV = np.deg2rad(12.0)


def sphere(radius: float = 0.08, subdivisions: int = 5) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(vertices=np.array(ball.vertices), triangles=np.array(ball.faces, dtype=np.int64))


def triangle_soup(seed: int, count: int = 40) -> Mesh:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-0.08, 0.08, (count, 1, 3))
    return Mesh(
        vertices=(centres + rng.normal(0.0, 0.03, (count, 3, 3))).reshape(-1, 3),
        triangles=np.arange(3 * count).reshape(-1, 3),
    )


def brute_force_distances(mesh: Mesh, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Distances to the nearest triangle, solving o + t d = a + u (b - a) + v (c - a) for every pair."""
    nearest = np.full(len(directions), np.inf)
    for a, b, c in mesh.vertices[mesh.triangles]:
        systems = np.stack(
            [np.broadcast_to(b - a, directions.shape), np.broadcast_to(c - a, directions.shape), -directions],
            -1,
        )
        u, v, t = np.linalg.solve(systems, np.broadcast_to(origin - a, directions.shape)[..., None])[..., 0].T
        inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        nearest = np.where(inside & (t < nearest), t, nearest)
    return nearest


@pytest.mark.parametrize("pose", POSES)
def test_camera_is_that_of_gram_cameras(pose):
    centre, rotation = camera_frame(*pose)
    cam2world = look_at_origin(torch.tensor([pose], dtype=torch.float64))[0].numpy()
    np.testing.assert_allclose(rotation, cam2world[:3, :3], atol=1e-12)
    np.testing.assert_allclose(centre, cam2world[:3, 3], atol=1e-12)


@pytest.mark.parametrize("pose", POSES)
def test_rays_are_those_of_gram_cameras(pose):
    _, rotation = camera_frame(*pose)
    rays = pixel_rays(look_at_origin(torch.tensor([pose], dtype=torch.float64)), size=9, fov=FOV)
    np.testing.assert_allclose(pixel_directions(rotation, 9, FOV), rays.directions[0].numpy(), atol=1e-7)


def test_supersampled_rays_surround_the_centre_ray_of_their_pixel():
    _, rotation = camera_frame(np.pi / 2, np.pi / 2)
    centres = pixel_directions(rotation, 8, FOV)
    spread = pixel_directions(rotation, 8, FOV, 3).reshape(64, 9, 3)
    np.testing.assert_array_equal(spread[:, 4], centres)
    on_plane = spread / -spread[..., 2:]
    np.testing.assert_allclose(on_plane.mean(1), centres / -centres[:, 2:], atol=1e-12)
    pitch = np.diff(on_plane[:2, 4, 0])[0]
    np.testing.assert_allclose(np.ptp(on_plane[..., 0], axis=1), pitch * 2 / 3, rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_first_hits_agree_with_brute_force(seed):
    mesh = triangle_soup(seed)
    centre, rotation = camera_frame(1.3, 1.9)
    directions = pixel_directions(rotation, 24, FOV)
    hits = RayCaster(mesh).intersect(centre, directions)
    distances = np.full(len(directions), np.inf)
    distances[hits.ray] = hits.t
    np.testing.assert_allclose(distances, brute_force_distances(mesh, centre, directions), rtol=1e-12)
    assert 50 < len(hits.ray) < len(directions)


def test_hits_lie_on_their_ray_and_in_their_triangle():
    mesh = triangle_soup(3)
    centre, rotation = camera_frame(1.3, 1.9)
    hits = RayCaster(mesh).intersect(centre, pixel_directions(rotation, 24, FOV))
    np.testing.assert_allclose(hits.points, hits.interpolate(mesh, mesh.vertices), atol=1e-12)
    np.testing.assert_allclose(hits.barycentric.sum(1), 1.0, atol=1e-12)
    assert hits.barycentric.min() > -1e-4


def test_depth_of_a_sphere_is_the_analytic_distance():
    radius, pose = 0.08, (1.3, 1.9)
    depth = render_depth(sphere(radius), pose=pose, size=33, fov=FOV).astype(np.float64)
    centre, rotation = camera_frame(*pose)
    along = -(pixel_directions(rotation, 33, FOV) @ centre)  # distance to the point nearest to the origin
    missed_by = np.sqrt(np.maximum(1.0 - along**2, 0.0))
    expected = along - np.sqrt(np.maximum(radius**2 - missed_by**2, 0.0))
    clear = np.abs(missed_by - radius) > 5e-4  # facets differ from the sphere at the rim
    measured = depth.ravel()
    np.testing.assert_array_equal(np.isnan(measured)[clear], (missed_by > radius)[clear])
    hit = clear & (missed_by < 0.95 * radius)
    np.testing.assert_allclose(
        measured[hit], expected[hit], atol=6e-4
    )  # float16 near 1 has steps of 5e-4 to 1e-3
    assert abs(depth[16, 16] - (1 - radius)) < 5e-4


def test_sees_is_false_only_for_points_behind_something():
    caster = RayCaster(sphere())
    points = np.array([[0.0, 0.0, -0.2], [0.0, 0.0, 0.2], [0.2, 0.0, -0.2]])
    towards = np.tile([0.0, 0.0, 1.0], (3, 1))
    np.testing.assert_array_equal(caster.is_unoccluded(points, towards), [False, True, True])


def test_vertex_normals_of_a_sphere_point_outwards():
    ball = sphere()
    np.testing.assert_allclose(dot(ball.vertex_normals(), ball.vertices / 0.08), 1.0, atol=1e-3)


def test_leaving_out_faces_that_point_away_does_not_change_a_closed_mesh():
    ball = sphere(subdivisions=3)
    centre, rotation = camera_frame(1.1, 2.2)
    directions = pixel_directions(rotation, 32, FOV)
    whole, front = RayCaster(ball), RayCaster(ball, facing=[centre])
    a, b = whole.intersect(centre, directions), front.intersect(centre, directions)
    np.testing.assert_array_equal(a.triangle, b.triangle)
    np.testing.assert_array_equal(a.t, b.t)


def test_cross_and_dot_are_numpys():
    a, b = np.random.default_rng(0).normal(size=(2, 50, 3))
    np.testing.assert_allclose(cross(a, b), np.cross(a, b), atol=1e-14)
    np.testing.assert_allclose(dot(a, b), (a * b).sum(1), atol=1e-14)


def test_srgb_encoding_inverts_decoding_for_every_byte():
    levels = np.arange(256)
    np.testing.assert_array_equal(encode_srgb(decode_srgb(levels / 255.0)), levels)


def test_ply_gives_the_same_mesh_back():
    ball = sphere(subdivisions=2)
    loaded = trimesh.load(io.BytesIO(ball.to_ply()), file_type="ply", process=False)
    assert isinstance(loaded, trimesh.Trimesh)
    np.testing.assert_array_equal(loaded.faces, ball.triangles)
    np.testing.assert_allclose(loaded.vertices, ball.vertices, atol=1e-8)


class Disc:
    """A white ball before black."""

    mesh = sphere()
    shadow_light = None

    def shade(self, hits, shadow):
        return np.ones((len(hits.ray), 3))

    def background(self, origin, directions):
        return np.zeros_like(directions)


def test_supersampling_gives_edges_the_share_that_is_covered():
    fine = render(Disc(), pose=(1.5, 1.5), size=16, fov=FOV, supersampling=16)
    coarse = render(Disc(), pose=(1.5, 1.5), size=16, fov=FOV, supersampling=4)
    assert fine.shape == (16, 16, 3)
    assert set(np.unique(render(Disc(), pose=(1.5, 1.5), size=16, fov=FOV, supersampling=1))) == {0, 255}
    share = (decode_srgb(fine / 255.0) - decode_srgb(coarse / 255.0)).ravel()
    assert np.abs(share).max() < 0.13 and np.abs(share).mean() < 0.01
    area = decode_srgb(fine[..., 0] / 255.0).sum() * (2 * np.tan(FOV / 2) / 15) ** 2
    apparent_radius = np.tan(np.arcsin(0.08))
    assert area == pytest.approx(np.pi * apparent_radius**2, rel=5e-3)
