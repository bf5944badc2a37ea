"""Accumulated opacity along camera rays: a field whose isosurface is the visible surface.

For one camera, with alpha the occupancy of a layer and one layer every `spacing`,

    A(x) = 1 - prod (1 - alpha) ** (step / spacing)    over the steps from the camera to x

rises from 0 in front of an object to 1 inside it, and A = 1/2 is the median depth of the image. As in space
carving, a point is free if some cameras see it free: the least opaque views are averaged.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from gram.geometry.cameras import look_at_origin
from gram.meshing.fields import Bounds, Field, Lattice, sample_field
from gram.shapes import Float

CLEAREST = 1 / 3
"""Fraction of the cameras, those with the least opacity, that are averaged; a single one is noisy."""
OPAQUE = 1e-6
"""Minimum transmittance of a layer, which keeps logarithms finite."""


@torch.no_grad()
def accumulated_opacity(
    occupancy: Field,
    poses: Float[Tensor, "views 2"],
    *,
    bounds: Bounds,
    spacing: float,
    resolution: int = 128,
    chunk: int = 2**17,
) -> Field:
    """Build the field of opacity, in [0, 1], in front of points of a box.

    Args:
        occupancy: alpha in [0, 1] of a layer at world points.
        poses: (pitch, yaw) of cameras on the unit sphere, radians.
        bounds: (low, high) of x, y, z; outside is empty.
        spacing: distance between layers, world units.
        resolution: lattice points of the occupancy along the longest side of the box.
        chunk: points evaluated by `occupancy` at once.
    """
    lattice = Lattice.over(bounds, resolution=resolution)
    alpha = torch.from_numpy(sample_field(occupancy, lattice, chunk=chunk)).float()
    thickness = -torch.log1p(-alpha.clamp(0.0, 1.0 - OPAQUE)) / spacing
    views = [_View(thickness, lattice, cam2world, resolution) for cam2world in look_at_origin(poses)]

    def field(points: Float[Tensor, "num 3"]) -> Float[Tensor, " num"]:
        return clearest(torch.stack([view.opacity(points) for view in views]))

    return field


def clearest(opacity: Float[Tensor, "views num"]) -> Float[Tensor, " num"]:
    """Mean over the third of the views with the least opacity, for each point."""
    counted = max(1, math.ceil(CLEAREST * len(opacity)))
    return opacity.sort(dim=0).values[:counted].mean(0)


class _View:
    """Opacity in front of the points of a camera's frustum around the box, on planes in order of depth.

    Args:
        thickness: optical thickness per length on the lattice.
        lattice: lattice of the box.
        cam2world: matrix of a camera that looks at the box from outside.
        resolution: rays along one side, and number of planes.
    """

    def __init__(self, thickness: Tensor, lattice: Lattice, cam2world: Tensor, resolution: int) -> None:
        # frustum around the box
        self._cam2world = cam2world
        low = torch.from_numpy(lattice.origin).float()
        high = low + torch.from_numpy(lattice.spacing * (np.array(lattice.shape) - 1)).float()
        corners = torch.cartesian_prod(*torch.stack([low, high], dim=1))
        x, y, depth = self._in_camera(corners)
        self._near, self._far = float(depth.min()), float(depth.max())
        self._reach = float(torch.maximum(x.abs(), y.abs()).max())  # tan of half the angle of view
        # thickness on a grid of planes and rays: (resolution, resolution, resolution)
        side = torch.linspace(-1.0, 1.0, resolution)
        planes = torch.linspace(self._near, self._far, resolution)
        w, v, u = torch.meshgrid(planes, side * self._reach, side * self._reach, indexing="ij")
        points = torch.stack([u * w, v * w, -w], dim=-1) @ cam2world[:3, :3].T + cam2world[:3, 3]
        at = (points - low) / (high - low) * 2.0 - 1.0
        tau = grid_sample(thickness.permute(2, 1, 0)[None, None], at[None], align_corners=True)[0, 0]
        # integral up to each plane, by the trapezoidal rule
        steps = (planes[1] - planes[0]) * torch.sqrt(1.0 + u[0] ** 2 + v[0] ** 2)
        before = torch.cumsum(tau, dim=0) - tau / 2.0 - tau[:1] / 2.0
        self._opacity = -torch.expm1(-before * steps)[None, None]

    def opacity(self, points: Float[Tensor, "num 3"]) -> Float[Tensor, " num"]:
        x, y, depth = self._in_camera(points)
        along = (depth - self._near) / (self._far - self._near) * 2.0 - 1.0
        at = torch.stack([x / self._reach, y / self._reach, along], dim=-1)
        values = grid_sample(self._opacity, at[None, None, None], align_corners=True, padding_mode="border")
        return values[0, 0, 0, 0]

    def _in_camera(self, points: Float[Tensor, "num 3"]) -> tuple[Tensor, Tensor, Tensor]:
        """Slopes to the right and upward, and depth along the axis of the camera."""
        right, up, back = ((points - self._cam2world[:3, 3]) @ self._cam2world[:3, :3]).unbind(-1)
        return right / -back, up / -back, -back
