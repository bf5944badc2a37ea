"""Whether views of one object agree: one view is warped onto another by depth, and the two are compared.

A *backward* warp: the point that a pixel of the target view sees, from the target's depth, is looked up in
the source view by bilinear interpolation. It counts where

- it lies inside the source picture and in front of its camera;
- the source sees it, too: its distance from the source camera is the source's depth there, to within a
  tolerance. What is farther away is occluded, what is nearer is not where the target says that it is;
- neither view looks along the surface there. At silhouettes depth is that of a blend of two surfaces or
  jumps from one to the other, so pixels whose neighbours make a slope steeper than `STEEPEST` are left out,
  and so are those next to pixels without depth.

Colours that depend on the direction, highlights above all, and limited resolution leave an error even where
the geometry is right: compare with that of real pictures and their true depth.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d

from gram.geometry.cameras import pixel_rays, project
from gram.shapes import Bool, Float

TOLERANCE = 0.01
"""World units by which two views may disagree about where a point is; a head is 0.18 deep."""
STEEPEST = 4.0
"""Largest slope of depth against the picture plane, 76 degrees."""
FOLLOWED = torch.linspace(0.0, 1.5, 7)
"""Shares of a surface's motion that colours are tried to move by."""
INSIDE = 1.0 + 1e-5
"""Where pictures end: the outermost pixel centres, and the rounding of a projection."""


class DepthView(NamedTuple):
    """Pictures of a batch, each with its camera; see `view_of`."""

    image: Float[Tensor, "batch 3 size size"]  # in [-1, 1]
    depth: Float[Tensor, "batch size size"]  # distance along the ray, NaN where nothing can be compared
    cam2world: Float[Tensor, "batch 4 4"]
    there: Bool[Tensor, "batch size size"]  # where there is something, silhouettes included


class Warped(NamedTuple):
    """A source view as the target's camera would see it."""

    image: Float[Tensor, "batch 3 size size"]
    valid: Bool[Tensor, "batch size size"]


class ReprojectionError(NamedTuple):
    """How far a warped view is the target."""

    error: Float[Tensor, " batch"]  # mean absolute difference, colours in [0, 1]; NaN where nothing is valid
    coverage: Float[Tensor, " batch"]  # valid share of the target's pixels with depth; NaN if none has any


def view_of(
    image: Float[Tensor, "batch 3 size size"],
    depth: Float[Tensor, "batch size size"],
    cam2world: Float[Tensor, "batch 4 4"],
    *,
    fov: float,
) -> DepthView:
    """Views without depth at silhouettes.

    Args:
        image: in [-1, 1].
        depth: distance along the ray, NaN where there is nothing.
        cam2world: of the cameras.
        fov: of the cameras, between the outermost pixel centres, radians.
    """
    return DepthView(image, without_silhouettes(depth, fov=fov), cam2world, depth.isfinite())


def warp(source: DepthView, target: DepthView, *, fov: float, tolerance: float = TOLERANCE) -> Warped:
    """The source view from the target's cameras; colours where it is not valid mean nothing.

    Args:
        source: where colours come from.
        target: whose cameras and depth are used.
        fov: of all cameras, between the outermost pixel centres, radians.
        tolerance: world units by which the depths of both may disagree about a point.
    """
    places, valid = _correspondence(source, target, fov, tolerance)
    return Warped(_look_up(source.image, places), valid)


def agreement(warped: Warped, target: DepthView) -> ReprojectionError:
    """How the pictures differ where both show the same points."""
    difference = (warped.image - target.image).abs().mean(1) / 2.0
    count = warped.valid.flatten(1).sum(1)
    error = torch.where(warped.valid, difference, 0.0).flatten(1).sum(1) / count
    return ReprojectionError(error, count / target.there.flatten(1).sum(1))


def errors_of_motion(
    source: DepthView, target: DepthView, *, fov: float, tolerance: float = TOLERANCE
) -> Float[Tensor, " tried"]:
    """Squared errors, summed over all valid pixels, if colours moved by each share of `FOLLOWED` of the way
    that the surface moves between the pictures; see `texture_lock`.
    """
    places, valid = _correspondence(source, target, fov, tolerance)
    line = torch.linspace(-1.0, 1.0, places.shape[1], dtype=places.dtype, device=places.device)
    still = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    errors = []
    for share in FOLLOWED.tolist():
        moved = _look_up(source.image, torch.lerp(still, places, share))
        errors.append(torch.where(valid[:, None], moved - target.image, 0.0).square().sum())
    return torch.stack(errors)


def texture_lock(errors: Float[Tensor, " tried"]) -> float:
    """The share of the surface's motion that colours follow: 1 is a texture that is locked to the surface, 0
    one that is glued to the screen, and more than 1 a surface that is nearer than its depth says.

    The minimum of the parabola through the least error and its neighbours; NaN if all errors are equal.

    Args:
        errors: sum of the `errors_of_motion` of views that are a small step apart.
    """
    at = int(errors.argmin())
    if torch.equal(errors, errors[:1].expand_as(errors)):
        return float("nan")
    if at in (0, len(errors) - 1):
        return float(FOLLOWED[at])
    before, least, after = errors[at - 1 : at + 2].double().tolist()
    step = float(FOLLOWED[1] - FOLLOWED[0])
    return float(FOLLOWED[at]) + step * 0.5 * (before - after) / (before - 2.0 * least + after)


def without_silhouettes(
    depth: Float[Tensor, "batch size size"], *, fov: float
) -> Float[Tensor, "batch size size"]:
    """Depth, NaN where it is steeper than `STEEPEST` or a neighbour has none."""
    spacing = 2.0 * math.tan(fov / 2.0) / (depth.shape[-1] - 1)
    farthest = max_pool2d(depth[:, None], 3, 1, 1)[:, 0]  # NaN next to NaN
    nearest = -max_pool2d(-depth[:, None], 3, 1, 1)[:, 0]
    smooth = farthest - nearest <= STEEPEST * 2.0 * spacing * depth
    return torch.where(smooth, depth, torch.nan)


def _correspondence(
    source: DepthView, target: DepthView, fov: float, tolerance: float
) -> tuple[Float[Tensor, "batch size size 2"], Bool[Tensor, "batch size size"]]:
    """Where in the source, in [-1, 1], is what each pixel of the target sees, and whether it counts."""
    size = target.depth.shape[-1]
    there = target.depth.isfinite()
    rays = pixel_rays(target.cam2world, size=size, fov=fov)
    points = rays.at(torch.where(there, target.depth, 1.0).flatten(1)[..., None])[..., 0, :]
    places, distance = project(points, source.cam2world, fov=fov)
    places = places.view(len(points), size, size, 2)
    inside = (places.abs() <= INSIDE).all(-1)
    places = torch.where(inside[..., None], places, 0.0)
    known = _look_up(source.depth[:, None], places)[:, 0]
    same = (known - distance.view_as(known)).abs() <= tolerance  # not so where NaN
    return places, there & inside & same


def _look_up(
    pictures: Float[Tensor, "batch channels size size"], places: Float[Tensor, "batch size size 2"]
) -> Float[Tensor, "batch channels size size"]:
    """Bilinear; -1 and 1 are the centres of the outermost pixels, as cameras have it."""
    return grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=True)
