"""How figures look, on light and on dark pages, and as files. matplotlib is imported late: few need it."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100


@dataclass(frozen=True)
class Style:
    """Colours of a figure: page, text, grid lines; `contrast` is how far colours move to `ink` for words."""

    page: str
    ink: str
    faint: str
    contrast: float

    @property
    def settings(self) -> dict[Any, Any]:
        """For `matplotlib.rc_context`."""
        return {
            "font.size": 10.5, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
            "axes.grid.axis": "y", "grid.alpha": 0.25, "grid.color": self.faint, "axes.axisbelow": True,
            "figure.facecolor": self.page, "axes.facecolor": self.page, "savefig.facecolor": self.page,
            "text.color": self.ink, "axes.labelcolor": self.ink, "axes.edgecolor": self.faint,
            "xtick.color": self.ink, "ytick.color": self.ink,
        }  # fmt: skip


LIGHT = Style("#ffffff", "#1b1f24", "#8b949e", 0.3)
DARK = Style("#14181d", "#e6e9ed", "#7d8590", 0.3)
STYLES = {"light": LIGHT, "dark": DARK}


def png(figure: "Figure") -> bytes:
    """A figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
