"""Style of figures on light and dark pages, and their conversion to files; matplotlib is imported late."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gram.rendering.samplers import SAMPLERS
from pipeline.display.images import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, SKY = "#cc79a7", "#e69f00", "#56b4e9"
"""Colours that are safe for colour-blind readers (Okabe and Ito)."""
COLORS = (BLUE, GREEN, ORANGE, PURPLE, VERMILION, SKY, "#f0e442", "#8c564b")
MARKERS = ("o", "s", "^", "P", "D", "v", "X", "*")
"""Markers of samplers in their order, and of other lines and points."""


@dataclass(frozen=True)
class Style:
    """Colours of a figure: page, text, grid lines."""

    page: str
    ink: str
    faint: str

    @property
    def settings(self) -> dict[Any, Any]:
        """Arguments of `matplotlib.rc_context`."""
        return {
            "font.size": 10.5, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
            "axes.grid.axis": "y", "grid.alpha": 0.25, "grid.color": self.faint, "axes.axisbelow": True,
            "figure.facecolor": self.page, "axes.facecolor": self.page, "savefig.facecolor": self.page,
            "text.color": self.ink, "axes.labelcolor": self.ink, "axes.edgecolor": self.faint,
            "xtick.color": self.ink, "ytick.color": self.ink,
        }  # fmt: skip


def sampler_style(kind: str) -> tuple[str, str]:
    """Color and marker of a kind of sampler."""
    place = list(SAMPLERS).index(kind)
    return COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]


LIGHT = Style("#ffffff", "#1b1f24", "#8b949e")
DARK = Style("#14181d", "#e6e9ed", "#7d8590")
STYLES = {"light": LIGHT, "dark": DARK}


def png(figure: "Figure") -> bytes:
    """Encode a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def to_pixels(figure: "Figure") -> Pixels:
    """Render a figure to an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def plain(axes: "Axes") -> None:
    """Remove decorative lines from a diagram."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(axes: "Axes", *, gap: float = 4.7, **options: Any) -> None:
    """Add a legend under the axes, where it hides nothing; a constrained layout makes room for it.

    Args:
        axes: whose labelled lines and marks it explains.
        gap: between the two, in heights of its text: room for numbers and label of the axis.
        options: of matplotlib's legend.
    """
    plain = {"bbox_to_anchor": (0.5, 0.0), "borderaxespad": gap, "frameon": False, "fontsize": 8}
    axes.legend(loc="upper center", **{**plain, **options})


def show(axes: "Axes", pixels: Pixels, title: str = "") -> None:
    """Draw an image without axes."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
