"""What the figures of an evaluation share; matplotlib is imported late, only figures need it."""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.pictures import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
"""Colours that everybody can tell apart (Okabe and Ito)."""


def to_pixels(figure: "Figure") -> Pixels:
    """A figure as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def plain(axes: "Axes") -> None:
    """Take away the lines of a diagram that tell nothing."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def show(axes: "Axes", pixels: Pixels, title: str = "") -> None:
    """A picture without axes."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
