"""Figure of inversions: fitted and other views, rendered beside the truth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gram.model.generator import to_pixels as images_to_pixels
from pipeline.display.figures import show, to_pixels
from pipeline.display.images import Pixels
from pipeline.evaluate.held_out import HeldOutIdentity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 6
"""Maximum number of heads or cars in the figure, one row each."""
COLORS = "viridis_r"
"""Colour map of depth: near is bright."""
BACKGROUND = "#d0d0d0"


class RenderedIdentity(NamedTuple):
    """One head or car with the images and depths of all its views, as rendered."""

    truth: HeldOutIdentity
    latent: tuple[Tensor, Tensor]
    tuned: tuple[Tensor, Tensor] | None


def plot(rendered: Sequence[RenderedIdentity], *, fitted: int) -> Pixels:
    """Plot a row per identity: the first fitted view, then the leftmost and rightmost of the others."""
    from matplotlib.figure import Figure

    rendered = rendered[:SHOWN]
    rows = [_row(one, fitted) for one in rendered]
    depths = torch.cat([cell.flatten() for row in rows for _, cell in row if cell.ndim == 2])
    near, far = _range(depths)
    figure = Figure(figsize=(1.25 * len(rows[0]) + 1.1, 1.2 * len(rendered) + 0.6), layout="constrained")
    axes = figure.subplots(len(rendered), len(rows[0]), squeeze=False)
    colored: Any = None
    for i, row in enumerate(rows):
        for j, (title, cell) in enumerate(row):
            place = axes[i, j]
            if cell.ndim == 3:
                show(place, images_to_pixels(cell[None])[0], title if i == 0 else "")
            else:
                colored = _show_depth(place, cell, title if i == 0 else "", near, far)
        axes[i, 0].set_ylabel(f"identity {rendered[i].truth.identity}", fontsize=9)
    if colored is not None:
        label = "distance along the ray (grey: background)"
        figure.colorbar(colored, ax=axes, fraction=0.02, pad=0.01).set_label(label, fontsize=8)
    return to_pixels(figure)


def _row(one: RenderedIdentity, fitted: int) -> list[tuple[str, Tensor]]:
    """Titles with images (3, size, size) or depths (size, size)."""
    truth = one.truth
    models = {"latent": one.latent} | ({} if one.tuned is None else {"tuned": one.tuned})
    cells = [("fitted view:\ntruth", truth.images[0])]
    cells += [(name, images[0]) for name, (images, _) in models.items()]
    yaws = truth.poses[fitted:, 1]
    sides = {"one side": fitted + int(yaws.argmax()), "the other": fitted + int(yaws.argmin())}
    for side, view in sides.items():
        cells.append((f"unseen, {side}:\ntruth", truth.images[view]))
        cells += [(name, images[view]) for name, (images, _) in models.items()]
        if truth.depth is not None:
            cells.append(("true\ndepth", truth.depth[view]))
        cells += [(f"depth of\n{name}", depth[view]) for name, (_, depth) in models.items()]
    return cells


def _show_depth(axes: "Axes", depth: Tensor, title: str, near: float, far: float) -> Any:
    from matplotlib import colormaps

    colors = colormaps[COLORS].with_extremes(bad=BACKGROUND)
    values = np.ma.masked_invalid(depth.numpy())
    image = axes.imshow(values, cmap=colors, vmin=near, vmax=far, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
    return image


def _range(depths: Tensor) -> tuple[float, float]:
    known = depths[depths.isfinite()]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
