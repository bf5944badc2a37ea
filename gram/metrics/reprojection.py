"""Reprojection error: one view of an object is warped onto another by depth, and the two are compared.

The warp is *backward*: each pixel of the target view is unprojected by the target's depth and looked up in
the source view by bilinear interpolation. It is valid where

- the point lies inside the source image and in front of its camera;
- the source sees it, too: its distance from the source camera equals the source's depth within a tolerance.
  Farther points are occluded, nearer ones contradict the depths;
- neither view is at a silhouette, where depth jumps or blends two surfaces: pixels with a slope steeper than
  `STEEPEST` to a neighbour, or with a neighbour without depth, are excluded.

View-dependent colours, above all highlights, and limited resolution cause an error even with correct
geometry: compare with that of real images and their true depth.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d

from gram.geometry.cameras import pixel_rays, project
from gram.shapes import Bool, Float

TOLERANCE = 0.01
"""Maximum disagreement of two views about the distance of a point, world units; a head is 0.18 deep."""
STEEPEST = 4.0
"""Maximum slope of depth against the image plane, 76 degrees."""
MOTION_FRACTIONS = torch.linspace(0.0, 1.5, 7)
"""Candidate fractions of the surface's motion by which colours move."""
INSIDE = 1.0 + 1e-5
"""Largest image coordinate: the outermost pixel centres, and rounding of projections."""


class DepthView(NamedTuple):
    """Batch of images with depth and cameras; see `view_of`."""

    image: Float[Tensor, "batch 3 size size"]  # in [-1, 1]
    depth: Float[Tensor, "batch size size"]  # distance along the ray, NaN for background and silhouettes
    cam2world: Float[Tensor, "batch 4 4"]
    foreground: Bool[Tensor, "batch size size"]  # silhouettes included


class Warped(NamedTuple):
    """Source view warped to the target's camera."""

    image: Float[Tensor, "batch 3 size size"]
    valid: Bool[Tensor, "batch size size"]


class ReprojectionError(NamedTuple):
    """Difference between a warped view and the target."""

    error: Float[Tensor, " batch"]  # mean absolute difference, colours in [0, 1]; NaN without valid pixels
    coverage: Float[Tensor, " batch"]  # valid fraction of the target's foreground; NaN without foreground


def view_of(
    image: Float[Tensor, "batch 3 size size"],
    depth: Float[Tensor, "batch size size"],
    cam2world: Float[Tensor, "batch 4 4"],
    *,
    fov: float,
) -> DepthView:
    """Build a view, with depth removed at silhouettes.

    Args:
        image: images in [-1, 1].
        depth: distance along the ray, NaN for background.
        cam2world: camera matrices.
        fov: angle between the outermost pixel centres, radians.
    """
    return DepthView(image, without_silhouettes(depth, fov=fov), cam2world, depth.isfinite())


def warp(source: DepthView, target: DepthView, *, fov: float, tolerance: float = TOLERANCE) -> Warped:
    """Warp the source view to the target's cameras; colours of invalid pixels are arbitrary.

    Args:
        source: view with the colours.
        target: view with the cameras and depth.
        fov: angle between the outermost pixel centres of all cameras, radians.
        tolerance: maximum disagreement of both depths about a point, world units.
    """
    xy, valid = _correspondence(source, target, fov, tolerance)
    return Warped(_look_up(source.image, xy), valid)


def agreement(warped: Warped, target: DepthView) -> ReprojectionError:
    """Difference between a warped view and the target over valid pixels."""
    difference = (warped.image - target.image).abs().mean(1) / 2.0
    count = warped.valid.flatten(1).sum(1)
    error = torch.where(warped.valid, difference, 0.0).flatten(1).sum(1) / count
    return ReprojectionError(error, count / target.foreground.flatten(1).sum(1))


def errors_of_motion(
    source: DepthView, target: DepthView, *, fov: float, tolerance: float = TOLERANCE
) -> Float[Tensor, " fractions"]:
    """Squared errors, summed over valid pixels, for colours that move by each of `MOTION_FRACTIONS` of the
    surface's motion between the views; see `texture_lock`.
    """
    xy, valid = _correspondence(source, target, fov, tolerance)
    # image coordinates without motion
    line = torch.linspace(-1.0, 1.0, xy.shape[1], dtype=xy.dtype, device=xy.device)
    still = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    errors = []
    for fraction in MOTION_FRACTIONS.tolist():
        moved = _look_up(source.image, torch.lerp(still, xy, fraction))
        errors.append(torch.where(valid[:, None], moved - target.image, 0.0).square().sum())
    return torch.stack(errors)


def texture_lock(errors: Float[Tensor, " fractions"]) -> float:
    """Fraction of the surface's motion that colours follow: 1 for a texture locked to the surface, 0 for one
    fixed to the screen, more than 1 for a surface nearer than its depth.

    Minimum of the parabola through the least error and its neighbours; NaN if all errors are equal.

    Args:
        errors: sum of the `errors_of_motion` of views that are a small step apart.
    """
    at = int(errors.argmin())
    if torch.equal(errors, errors[:1].expand_as(errors)):
        return float("nan")
    if at in (0, len(errors) - 1):
        return float(MOTION_FRACTIONS[at])
    # minimum of the parabola
    before, least, after = errors[at - 1 : at + 2].double().tolist()
    step = float(MOTION_FRACTIONS[1] - MOTION_FRACTIONS[0])
    return float(MOTION_FRACTIONS[at]) + step * 0.5 * (before - after) / (before - 2.0 * least + after)


def without_silhouettes(
    depth: Float[Tensor, "batch size size"], *, fov: float
) -> Float[Tensor, "batch size size"]:
    """Replace depth by NaN where its slope exceeds `STEEPEST` or a neighbour has none."""
    # range of depth in windows of 3 x 3 pixels
    spacing = 2.0 * math.tan(fov / 2.0) / (depth.shape[-1] - 1)
    farthest = max_pool2d(depth[:, None], 3, 1, 1)[:, 0]  # NaN next to NaN
    nearest = -max_pool2d(-depth[:, None], 3, 1, 1)[:, 0]
    smooth = farthest - nearest <= STEEPEST * 2.0 * spacing * depth
    return torch.where(smooth, depth, torch.nan)


def _correspondence(
    source: DepthView, target: DepthView, fov: float, tolerance: float
) -> tuple[Float[Tensor, "batch size size 2"], Bool[Tensor, "batch size size"]]:
    """Source coordinates, in [-1, 1], of each pixel of the target, and their validity."""
    # unproject the target
    size = target.depth.shape[-1]
    known = target.depth.isfinite()
    rays = pixel_rays(target.cam2world, size=size, fov=fov)
    points = rays.at(torch.where(known, target.depth, 1.0).flatten(1)[..., None])[..., 0, :]
    # project into the source
    xy, distance = project(points, source.cam2world, fov=fov)
    xy = xy.view(len(points), size, size, 2)
    inside = (xy.abs() <= INSIDE).all(-1)
    xy = torch.where(inside[..., None], xy, 0.0)
    # compare depths; false for NaN
    source_depth = _look_up(source.depth[:, None], xy)[:, 0]
    visible = (source_depth - distance.view_as(source_depth)).abs() <= tolerance
    return xy, known & inside & visible


def _look_up(
    images: Float[Tensor, "batch channels size size"], xy: Float[Tensor, "batch size size 2"]
) -> Float[Tensor, "batch channels size size"]:
    """Sample bilinearly; -1 and 1 are the centres of the outermost pixels."""
    return grid_sample(images, xy, mode="bilinear", padding_mode="border", align_corners=True)
