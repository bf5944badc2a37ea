"""The figure of inversions: what was fitted, and views that the fit never saw beside the truth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.display.figures import show, to_pixels
from pipeline.display.images import Pixels
from pipeline.display.images import to_pixels as images_to_pixels
from pipeline.evaluate.held_out import Seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 6
"""Heads or cars in the figure, two rows each."""
COLORS = "viridis_r"
"""Of depth: near is bright."""
NOTHING = "#d0d0d0"


class Drawn(NamedTuple):
    """One head or car, and all its views as the model draws them: images and depths."""

    seen: Seen
    latent: tuple[Tensor, Tensor]
    tuned: tuple[Tensor, Tensor] | None


def plot(drawn: Sequence[Drawn], *, fitted: int) -> Pixels:
    """A row for every head or car: the first fitted view, then the leftmost and the rightmost unseen one."""
    from matplotlib.figure import Figure

    drawn = drawn[:SHOWN]
    columns = [_row(one, fitted) for one in drawn]
    depths = torch.cat([cell.flatten() for row in columns for _, cell in row if cell.ndim == 2])
    near, far = _range(depths)
    figure = Figure(figsize=(1.25 * len(columns[0]) + 1.1, 1.2 * len(drawn) + 0.6), layout="constrained")
    axes = figure.subplots(len(drawn), len(columns[0]), squeeze=False)
    colored: Any = None
    for i, row in enumerate(columns):
        for j, (title, cell) in enumerate(row):
            place = axes[i, j]
            if cell.ndim == 3:
                show(place, images_to_pixels(cell[None])[0], title if i == 0 else "")
            else:
                colored = _show_depth(place, cell, title if i == 0 else "", near, far)
        axes[i, 0].set_ylabel(f"identity {drawn[i].seen.identity}", fontsize=9)
    if colored is not None:
        label = "distance along the ray (grey: background)"
        figure.colorbar(colored, ax=axes, fraction=0.02, pad=0.01).set_label(label, fontsize=8)
    return to_pixels(figure)


def _row(one: Drawn, fitted: int) -> list[tuple[str, Tensor]]:
    """Titles and pictures: (3, size, size) images, (size, size) depths."""
    seen = one.seen
    cells = [("fitted view:\ntruth", seen.images[0]), ("latent", one.latent[0][0])]
    if one.tuned is not None:
        cells.append(("tuned", one.tuned[0][0]))
    yaws = seen.poses[fitted:, 1]
    sides = {"one side": fitted + int(yaws.argmax()), "the other": fitted + int(yaws.argmin())}
    for name, view in sides.items():
        cells += [(f"unseen, {name}:\ntruth", seen.images[view]), ("latent", one.latent[0][view])]
        if one.tuned is not None:
            cells.append(("tuned", one.tuned[0][view]))
        if seen.depth is not None:
            cells.append(("true\ndepth", seen.depth[view]))
        cells.append(("depth of\nlatent", one.latent[1][view]))
        if one.tuned is not None:
            cells.append(("depth of\ntuned", one.tuned[1][view]))
    return cells


def _show_depth(axes: "Axes", depth: Tensor, title: str, near: float, far: float) -> Any:
    from matplotlib import colormaps

    colors = colormaps[COLORS].with_extremes(bad=NOTHING)
    values = np.ma.masked_invalid(depth.numpy())
    image = axes.imshow(values, cmap=colors, vmin=near, vmax=far, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
    return image


def _range(depths: Tensor) -> tuple[float, float]:
    known = depths[depths.isfinite()]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
