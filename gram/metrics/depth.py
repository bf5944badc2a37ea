"""Errors of rendered depth: distances, normals, masks.

Depth is the distance along the ray, NaN for background. Depth and normals are compared on the common
foreground; differences of the foreground itself are measured by `mask_iou`.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.shapes import Bool, Float

FLAT = 1e-6
"""Minimum standard deviation of depth for a correlation, world units."""


def depth_error(
    depth: Float[Tensor, "batch height width"], truth: Float[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Mean absolute difference in world units; NaN without common foreground."""
    both = depth.isfinite() & truth.isfinite()
    return _mean((depth - truth).abs(), both)


def depth_correlation(
    depth: Float[Tensor, "batch height width"], truth: Float[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Pearson's correlation in [-1, 1], independent of scale and offset of the relief.

    0 for constant depth, NaN without common foreground.
    """
    both = depth.isfinite() & truth.isfinite()
    a, b = (_centred(part.double(), both) for part in (depth, truth))
    deviations = _mean(a.square(), both).sqrt() * _mean(b.square(), both).sqrt()
    correlation = _mean(a * b, both) / deviations.clamp_min(FLAT**2)
    return correlation.clamp(-1.0, 1.0).to(depth.dtype)


def normals_from_depth(
    depth: Float[Tensor, "batch size size"], poses: Float[Tensor, "batch 2"], *, fov: float
) -> Float[Tensor, "batch size size 3"]:
    """Unit normals in world space that face the camera, by central differences of unprojected pixels.

    NaN at border pixels, background pixels and their neighbours.

    Args:
        depth: depth of square images, NaN for background.
        poses: (pitch, yaw) of their cameras, radians.
        fov: angle between the outermost pixel centres, radians.
    """
    # unprojected pixels: (batch, size, size, 3)
    batch, size = depth.shape[:2]
    rays = pixel_rays(look_at_origin(poses), size=size, fov=fov)
    points = Rays(*rays).at(depth.reshape(batch, -1, 1)).view(batch, size, size, 3)
    # central differences
    right = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    up = points[:, :-2, 1:-1] - points[:, 2:, 1:-1]
    normals = torch.full_like(points, torch.nan)
    normals[:, 1:-1, 1:-1] = normalize(torch.linalg.cross(right, up), dim=-1)
    # orientation towards the camera
    directions = rays.directions.view(batch, size, size, 3)
    away = (normals * directions).sum(-1, keepdim=True) > 0
    normals = torch.where(away, -normals, normals)
    return torch.where(depth.isfinite()[..., None], normals, torch.nan)


def normal_error(
    normals: Float[Tensor, "batch height width 3"], truth: Float[Tensor, "batch height width 3"]
) -> Float[Tensor, " batch"]:
    """Mean angle between unit normals, degrees; NaN without common pixels."""
    both = normals.isfinite().all(-1) & truth.isfinite().all(-1)
    sine = torch.linalg.cross(normals, truth).norm(dim=-1)
    return _mean(torch.rad2deg(torch.atan2(sine, (normals * truth).sum(-1))), both)


def mask_iou(
    mask: Bool[Tensor, "batch height width"], truth: Bool[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Intersection over union in [0, 1]; NaN if both are empty."""
    return (mask & truth).flatten(1).sum(1) / (mask | truth).flatten(1).sum(1)


def _mean(values: Tensor, mask: Tensor) -> Float[Tensor, " batch"]:
    return torch.where(mask, values, 0.0).flatten(1).sum(1) / mask.flatten(1).sum(1)


def _centred(values: Tensor, mask: Tensor) -> Tensor:
    return values - _mean(values, mask)[:, None, None]
