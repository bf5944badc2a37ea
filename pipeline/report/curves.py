"""Learning curves of a run as one figure."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.display.figures import (
    BLUE,
    DPI,
    GREEN,
    LIGHT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Style,
    legend_below,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, ROW = 12.0, 2.9
"""Width of the figure and height of a row, inches."""
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
PANELS: Sequence[tuple[str, Mapping[str, str]]] = (
    ("adversarial losses", {"loss/discriminator": "discriminator", "loss/generator": "generator"}),
    ("logits", {"logits/real": "real", "logits/fake": "generated"}),
    ("pose error, radians squared", {"pose/real": "real", "pose/fake": "generated"}),
    ("opacity of the surfaces", {"opacity": ""}),
    ("diversity of images", {"diversity": ""}),
    ("images per second", {"images_per_second": ""}),
)
"""Panels: title, and labels of its lines by their name in metrics.jsonl."""
LOGARITHMIC = {"pose error, radians squared"}
COLUMNS = 3
MOST_COLUMNS = 7
"""Columns of a legend."""

Records = Sequence[Mapping[str, Any]]


def draw(records: Records, style: Style = LIGHT) -> "Figure | None":
    """Plot the records of metrics.jsonl; None without any."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not records:
        return None
    distances = sorted({name for record in records for name in record if name.startswith("distance/")})
    measured = [(name.removeprefix("distance/"), {name: ""}) for name in distances]
    surfaces = sorted({name for record in records for name in record if name.startswith("weight/")})
    weights = [("weight of each surface", {name: name.removeprefix("weight/") for name in surfaces})]
    panels = [*PANELS, *(weights if surfaces else []), *measured]
    rows = -(-len(panels) // COLUMNS)
    with rc_context(style.settings):
        figure = Figure(figsize=(WIDTH, ROW * rows), dpi=DPI, layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
        for axes, (title, lines) in zip(grid, panels, strict=False):
            _panel(axes, title, lines, records)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
    return figure


def _panel(axes: "Axes", title: str, lines: Mapping[str, str], records: Records) -> None:
    from matplotlib import colormaps

    for place, (name, label) in enumerate(lines.items()):
        steps = [record["step"] for record in records]
        values = [math.nan if (value := record.get(name)) is None else value for record in records]
        many = len(lines) > len(COLORS)
        color = colormaps["viridis"](0.05 + 0.85 * place / (len(lines) - 1)) if many else COLORS[place]
        axes.plot(steps, values, color=color, label=label, linewidth=1.4)
    if title in LOGARITHMIC:
        axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("steps", fontsize=9)
    if len(lines) > 1:
        legend_below(axes, ncols=min(len(lines), MOST_COLUMNS), handlelength=1.2, columnspacing=1.0)
