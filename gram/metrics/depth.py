"""How far rendered depth is from the true one: distances, normals, outlines.

Depth is the distance along the ray, NaN where a picture shows nothing but its background. Depth and normals
are compared where both pictures show something; where one alone does, that is an error of the outline, which
`mask_iou` tells.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.shapes import Bool, Float

FLAT = 1e-6
"""A standard deviation of depth, world units, under which there is nothing to correlate."""


def depth_error(
    depth: Float[Tensor, "batch height width"], truth: Float[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Mean absolute difference in world units; NaN where the pictures have no foreground in common."""
    both = depth.isfinite() & truth.isfinite()
    return _mean((depth - truth).abs(), both)


def depth_correlation(
    depth: Float[Tensor, "batch height width"], truth: Float[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Pearson's correlation in [-1, 1]: whether the relief is right, whatever its scale and offset.

    1 for depth that is right up to both, 0 for one that is constant, NaN without common foreground.
    """
    both = depth.isfinite() & truth.isfinite()
    ours, theirs = (_centred(part.double(), both) for part in (depth, truth))
    spread = _mean(ours.square(), both).sqrt() * _mean(theirs.square(), both).sqrt()
    found = _mean(ours * theirs, both) / spread.clamp_min(FLAT**2)
    return found.clamp(-1.0, 1.0).to(depth.dtype)


def normals_from_depth(
    depth: Float[Tensor, "batch size size"], poses: Float[Tensor, "batch 2"], *, fov: float
) -> Float[Tensor, "batch size size 3"]:
    """Unit normals in world space that face the camera, from the neighbours left and right, above and below.

    NaN at pixels on the border of the picture and at those that are background or have a neighbour that is.

    Args:
        depth: of square pictures, NaN for background.
        poses: (pitch, yaw) of their cameras, radians.
        fov: of the cameras, between the outermost pixel centres, radians.
    """
    batch, size = depth.shape[:2]
    rays = pixel_rays(look_at_origin(poses), size=size, fov=fov)
    points = Rays(*rays).at(depth.reshape(batch, -1, 1)).view(batch, size, size, 3)
    right = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    up = points[:, :-2, 1:-1] - points[:, 2:, 1:-1]
    normals = torch.full_like(points, torch.nan)
    normals[:, 1:-1, 1:-1] = normalize(torch.linalg.cross(right, up), dim=-1)
    towards = rays.directions.view(batch, size, size, 3)
    away = (normals * towards).sum(-1, keepdim=True) > 0
    normals = torch.where(away, -normals, normals)
    return torch.where(depth.isfinite()[..., None], normals, torch.nan)


def normal_error(
    normals: Float[Tensor, "batch height width 3"], truth: Float[Tensor, "batch height width 3"]
) -> Float[Tensor, " batch"]:
    """Mean angle between unit normals, degrees; NaN where there is no pixel with both."""
    both = normals.isfinite().all(-1) & truth.isfinite().all(-1)
    across = torch.linalg.cross(normals, truth).norm(dim=-1)
    return _mean(torch.rad2deg(torch.atan2(across, (normals * truth).sum(-1))), both)


def mask_iou(
    mask: Bool[Tensor, "batch height width"], truth: Bool[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Intersection over union in [0, 1]; NaN where both are empty."""
    return (mask & truth).flatten(1).sum(1) / (mask | truth).flatten(1).sum(1)


def _mean(values: Tensor, where: Tensor) -> Float[Tensor, " batch"]:
    return torch.where(where, values, 0.0).flatten(1).sum(1) / where.flatten(1).sum(1)


def _centred(values: Tensor, where: Tensor) -> Tensor:
    return values - _mean(values, where)[:, None, None]
