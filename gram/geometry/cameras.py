"""Cameras on a sphere around the origin, pixel rays and projection.

World: right-handed, y up, faces look along +z. A pose is (pitch, yaw) in radians: the camera centre is
(sin pitch cos yaw, cos pitch, sin pitch sin yaw) times the radius and the camera looks at the origin, so
pitch = yaw = pi/2 is the frontal view from +z. Camera axes are OpenGL's: x right, y up, looking along -z.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.shapes import Float


class Rays(NamedTuple):
    """Rays in world space: points are `origins + t * directions`, so t is a length in world units."""

    origins: Float[Tensor, "*batch 3"]
    directions: Float[Tensor, "*batch 3"]  # unit length

    def rows(self, *index: int | slice | Tensor) -> "Rays":
        """Select rays by indices of the leading axes (images, rays)."""
        return Rays(self.origins[index], self.directions[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> "Rays":
        """Apply a function to both tensors."""
        return Rays(function(self.origins), function(self.directions))

    def at(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n 3"]:
        """Points at distances t along each ray.

        Example:
            >>> rays = Rays(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -1.0]]))
            >>> rays.at(torch.tensor([[0.5, 2.0]])).tolist()
            [[[0.0, 0.0, -0.5], [0.0, 0.0, -2.0]]]
        """
        return torch.addcmul(self.origins[..., None, :], t[..., None], self.directions[..., None, :])


def look_at_origin(poses: Float[Tensor, "batch 2"], radius: float = 1.0) -> Float[Tensor, "batch 4 4"]:
    """Build cam2world matrices of cameras that look at the origin, with up = +y.

    Args:
        poses: (pitch, yaw), radians; pitch strictly between 0 and pi, as up is undefined at the poles.
        radius: distance of the camera from the origin.

    Example:
        >>> front = torch.tensor([[math.pi / 2, math.pi / 2]])
        >>> centre = look_at_origin(front, radius=2.0)[0, :3, 3]
        >>> torch.allclose(centre, torch.tensor([0.0, 0.0, 2.0]), atol=1e-6)
        True
    """
    # orthonormal camera frame
    centre = on_unit_sphere(poses)
    forward = -centre
    world_up = torch.tensor([0.0, 1.0, 0.0], dtype=poses.dtype, device=poses.device).expand_as(forward)
    right = normalize(torch.linalg.cross(forward, world_up), dim=-1)
    up = torch.linalg.cross(right, forward)
    # columns: camera axes, then the centre
    cam2world = torch.zeros(len(poses), 4, 4, dtype=poses.dtype, device=poses.device)
    cam2world[:, :3, :] = torch.stack([right, up, -forward, radius * centre], dim=-1)
    cam2world[:, 3, 3] = 1.0
    return cam2world


def poses_from_cam2world(cam2world: Float[Tensor, "batch 4 4"]) -> Float[Tensor, "batch 2"]:
    """Compute (pitch, yaw) of the camera centres, radians; the inverse of `look_at_origin`.

    Yaw lies in [-pi/2, 3 pi/2], within half a turn of the frontal view as in pose priors: the target of
    D's pose loss must not jump by a full turn between a real and a generated image of the same view.

    Example:
        >>> poses = torch.tensor([[1.4, 1.9]])
        >>> torch.allclose(poses_from_cam2world(look_at_origin(poses)), poses)
        True
    """
    return poses_on_unit_sphere(normalize(cam2world[:, :3, 3], dim=-1))


def pixel_rays(cam2world: Float[Tensor, "batch 4 4"], *, size: int, fov: float) -> Rays:
    """Build the rays of all pixels of square images, row-major from the top left: (batch, size * size, 3).

    Args:
        cam2world: camera poses.
        size: image side in pixels; the outermost pixel centres lie on the border of the image plane.
        fov: angle between the outermost pixel centres, radians.

    Example:
        >>> rays = pixel_rays(look_at_origin(torch.tensor([[1.4, 1.9]])), size=8, fov=0.2)
        >>> rays.directions.shape
        torch.Size([1, 64, 3])
    """
    # camera-space directions, OpenGL axes
    grid = torch.linspace(-1.0, 1.0, size, dtype=cam2world.dtype, device=cam2world.device)
    y, x = torch.meshgrid(-grid, grid, indexing="ij")
    depth = torch.full_like(x, -1.0 / math.tan(fov / 2.0))
    in_camera = normalize(torch.stack([x, y, depth], dim=-1).view(-1, 3), dim=-1)
    # rotation into the world: (batch, size * size, 3)
    directions = in_camera @ cam2world[:, :3, :3].transpose(1, 2)
    return Rays(cam2world[:, None, :3, 3].expand_as(directions), directions)


def project(
    points: Float[Tensor, "batch n 3"], cam2world: Float[Tensor, "batch 4 4"], *, fov: float
) -> tuple[Float[Tensor, "batch n 2"], Float[Tensor, "batch n"]]:
    """Project world points into images; the inverse of `pixel_rays`.

    Args:
        points: world points, one set per image.
        cam2world: camera poses.
        fov: angle between the outermost pixel centres, radians.

    Returns:
        (x, y) as in `grid_sample` with align_corners: -1 and 1 are the centres of the outermost pixels,
        y points down, infinite unless the point is in front of the camera; and distances to the camera.

    Example:
        >>> cam2world = look_at_origin(torch.tensor([[math.pi / 2, math.pi / 2]]))
        >>> xy, distances = project(torch.zeros(1, 1, 3), cam2world, fov=0.2)
        >>> xy.abs().max().item() < 1e-6, distances.item()
        (True, 1.0)
    """
    in_camera = (points - cam2world[:, None, :3, 3]) @ cam2world[:, :3, :3]
    # perspective division; the camera looks along -z
    depth = -in_camera[..., 2:]
    xy = torch.stack([in_camera[..., 0], -in_camera[..., 1]], -1) / (depth * math.tan(fov / 2.0))
    return torch.where(depth > 0.0, xy, torch.inf), in_camera.norm(dim=-1)


def on_unit_sphere(poses: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 3"]:
    """Camera centres of poses (pitch, yaw), radians, at distance 1 from the origin."""
    pitch, yaw = poses.unbind(-1)
    return torch.stack([pitch.sin() * yaw.cos(), pitch.cos(), pitch.sin() * yaw.sin()], dim=-1)


def poses_on_unit_sphere(centres: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 2"]:
    """Poses (pitch, yaw) of unit vectors, yaw in [-pi/2, 3 pi/2]; the inverse of `on_unit_sphere`."""
    x, y, z = centres.unbind(-1)
    yaw = torch.atan2(z, x)
    yaw = torch.where(yaw < -math.pi / 2, yaw + 2.0 * math.pi, yaw)
    return torch.stack([torch.acos(y.clamp(-1.0, 1.0)), yaw], dim=-1)
