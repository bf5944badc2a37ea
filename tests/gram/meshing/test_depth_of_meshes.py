"""Depth of meshes is the distance along rays."""

import math

import pytest
import torch
import trimesh

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.meshing import mesh_depth


def test_depth_of_a_box_is_where_rays_meet_its_front():
    rays = pixel_rays(look_at_origin(torch.tensor([[math.pi / 2, math.pi / 2]])), size=9, fov=0.3)
    depth = mesh_depth(trimesh.creation.box(extents=(0.2, 0.2, 0.1)), rays)
    assert depth.shape == (1, 81)
    t = (0.05 - rays.origins[..., 2]) / rays.directions[..., 2]
    meets = (rays.at(t[..., None])[..., 0, :2].abs() < 0.1).all(-1)
    assert 0 < meets.sum() < 81
    torch.testing.assert_close(depth[meets], t[meets], atol=1e-5, rtol=0)
    assert depth[~meets].isinf().all()


def test_a_mesh_without_triangles_has_no_depth():
    rays = pixel_rays(look_at_origin(torch.tensor([[1.5, 1.5]])), size=2, fov=0.3)
    with pytest.raises(ValueError, match="no triangles"):
        mesh_depth(trimesh.Trimesh(), rays)
