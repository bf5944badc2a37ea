"""Figure of consistency: views, one of them warped onto the other, and errors by distance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gram.metrics.reprojection import DepthView, warp
from gram.model.generator import to_pixels as images_to_pixels
from pipeline.display.figures import BLUE, GREEN, VERMILION, legend_below, plain, show, to_pixels
from pipeline.display.images import Pixels

SHOWN = 4
"""Number of samples in the figure, one per row."""
MAX_ERROR = 0.2
"""Error that is white in error images."""
COMPARED, LEFT_OUT = (255, 255, 255), (150, 170, 200)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Numbers by the angle between two cameras."""

    degrees: Sequence[float]
    errors: dict[str, Sequence[float]]  # mean absolute differences by label, NaN if not measured
    coverage: Sequence[float]  # shares of pixels that were compared


def plot(views: Sequence[DepthView], yaws: Tensor, curves: Curves, *, fov: float) -> Pixels:
    """Plot samples from either side of the centre of a sweep, and all errors."""
    from matplotlib.figure import Figure

    middle, rows = len(views) // 2, min(SHOWN, len(views[0].image))
    source, target = (DepthView(*(part[:rows] for part in views[k])) for k in (middle - 1, middle + 1))
    warped = warp(source, target, fov=fov)
    figure = Figure(figsize=(12.6, 0.9 + 1.45 * max(rows, 3)), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.5, 1.0], squeeze=False)[0]
    turns = [math.degrees(float(yaws[k]) - math.pi / 2) for k in (middle - 1, middle + 1)]
    titles = [
        f"from {turns[0]:+.0f}°",
        f"from {turns[1]:+.0f}°",
        f"{turns[0]:+.0f}° warped\nto {turns[1]:+.0f}°",
        "compared: white\nleft out: blue",
        f"difference\nwhite: {MAX_ERROR:g} or more",
    ]
    difference = (warped.image - target.image).abs().mean(1, keepdim=True) / (2.0 * MAX_ERROR)
    shown = [
        images_to_pixels(source.image),
        images_to_pixels(target.image),
        _where(warped.valid, images_to_pixels(warped.image)),
        _where(warped.valid, np.full_like(images_to_pixels(target.image), COMPARED)),
        _where(warped.valid, images_to_pixels(2.0 * difference.clamp(max=1.0).expand(-1, 3, -1, -1) - 1.0)),
    ]
    for row, axes in enumerate(left.subplots(rows, len(shown), squeeze=False)):
        for axis, images, title in zip(axes, shown, titles, strict=True):
            show(axis, images[row], "" if row else title)
    _plot_curves(right.subplots(2, 1, sharex=True), curves)
    return to_pixels(figure)


def _where(valid: Tensor, images: Pixels) -> Pixels:
    """Images (n, h, w, 3), with invalid pixels in the colour LEFT_OUT."""
    return np.where(valid.cpu().numpy()[..., None], images, np.array(LEFT_OUT, np.uint8))


def _plot_curves(axes: np.ndarray, curves: Curves) -> None:
    errors, coverage = axes
    styles = zip((BLUE, VERMILION, GREEN), ("o-", "s--", "^:"), strict=True)
    for (label, values), (color, style) in zip(curves.errors.items(), styles, strict=False):
        if not torch.tensor(values).isfinite().any():
            continue
        errors.plot(curves.degrees, values, style, color=color, label=label, markersize=5)
    errors.set(ylabel="mean difference, colours in [0, 1]", ylim=(0.0, None))
    errors.set_title("error where both views show the same points", fontsize=9)
    if errors.lines:
        legend_below(errors, gap=1.0, ncols=len(errors.lines))
    coverage.plot(curves.degrees, curves.coverage, "o-", color=BLUE, markersize=5)
    coverage.set(xlabel="degrees between the cameras", ylabel="compared share", ylim=(0.0, 1.0))
    coverage.set_title("share of the sample's pixels that could be compared", fontsize=9)
    for axis in axes:
        plain(axis)
