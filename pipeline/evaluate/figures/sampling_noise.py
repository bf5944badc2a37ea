"""Figures of sampling noise: curves over the number of points, and crops of images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gram.analysis.sampling_noise import SamplingNoise
from gram.rendering.samplers import SAMPLERS
from pipeline.display.figures import plain, sampler_style, show, to_pixels
from pipeline.display.images import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ZERO = 1e-4
"""Position of 0 on a logarithmic axis."""


class Crops(NamedTuple):
    """Image of one field and a crop of it by several samplers; all pixels are (height, width, 3)."""

    title: str
    whole: Pixels
    corner: tuple[int, int]  # row and column of the crop
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Pixels]]]  # a label, and a crop per column


def plot_curves(fields: Mapping[str, Sequence[SamplingNoise]]) -> Pixels:
    """Plot noise and error over points per ray, a line per sampler, a row of panels per field title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 0.9 + 3.5 * len(fields)), layout="constrained")
    axes = figure.subplots(len(fields), 3, squeeze=False)
    for row, (title, measured) in zip(axes, fields.items(), strict=True):
        _panel(row[0], measured, "std", f"{title}: noise")
        _panel(row[1], measured, "rmse", "error, 1,024 points of its kind as reference")
        if any(one.integral_rmse is not None for one in measured):
            _panel(row[2], measured, "integral_rmse", "error, exact volume integral as reference")
        else:
            row[2].set_axis_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return to_pixels(figure)


def _panel(axes: "Axes", measured: Sequence[SamplingNoise], name: str, title: str) -> None:
    for kind, sampler in SAMPLERS.items():
        color, marker = sampler_style(kind)
        line = "-" if sampler.has_surfaces else "--"  # dashed lines sample a volume
        points = [one.points for one in measured if one.sampler == kind]
        values = [float(getattr(one, name) or 0.0) for one in measured if one.sampler == kind]
        if points:
            axes.plot(
                points, np.maximum(values, ZERO), line, color=color,
                marker=marker, markersize=5, label=kind, clip_on=False,
            )  # fmt: skip
    numbers = sorted({one.points for one in measured})
    axes.set(title=title, xlabel="points per ray", xscale="log", yscale="log", ylim=(ZERO, 1.0))
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.set_xticks([], minor=True)
    exponents = range(-3, 1)
    axes.set_yticks([ZERO, *(10.0**e for e in exponents)], ["0", *(f"$10^{{{e}}}$" for e in exponents)])
    plain(axes)


def plot_crops(fields: Sequence[Crops]) -> Pixels:
    """Plot crops side by side, each field with the image that they are from."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rows, columns = sum(len(field.rows) for field in fields), max(len(field.columns) for field in fields)
    figure = Figure(figsize=(1.25 * (columns + 4.6), 1.25 * rows + 0.4 * len(fields)), layout="constrained")
    blocks = figure.subfigures(len(fields), 1, squeeze=False)[:, 0]
    for block, field in zip(blocks, fields, strict=True):
        grid = block.add_gridspec(len(field.rows), columns + 4)
        whole = block.add_subplot(grid[:, :4])
        show(whole, field.whole, field.title)
        height, width, _ = field.rows[0][1][0].shape
        row, column = field.corner
        frame = Rectangle((column - 0.5, row - 0.5), width, height, fill=False, edgecolor="white", lw=1.5)
        whole.add_patch(frame)
        for i, (label, parts) in enumerate(field.rows):
            for j, part in enumerate(parts):
                axes = block.add_subplot(grid[i, 4 + j])
                show(axes, part, field.columns[j] if i == 0 else "")
                if j == 0:
                    axes.set_ylabel(label, fontsize=8)
    return to_pixels(figure)
