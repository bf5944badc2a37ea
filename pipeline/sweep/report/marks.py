"""How trials look in figures: colours, marks, and labels beside them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gram.rendering.samplers import SAMPLERS
from pipeline.display.figures import COLORS, MARKERS, Style, sampler_style
from pipeline.sweep.report.results import is_number, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 13.0
"""Height of a line of text, points."""
_OFFSETS = [
    (7, 0),
    (-7, 0),
    (6, 8),
    (-6, 8),
    (6, -8),
    (-6, -8),
    (0, 12),
    (0, -12),
    (12, 16),
    (-12, 16),
    (12, -16),
]
"""From a mark to its label, points; the first that is free is taken."""


def color_of(value: Any, values: Sequence[Any]) -> Any:
    """Of one value of an option: a sampler's own, along a scale for numbers, one after the other else."""
    if value in SAMPLERS:
        return sampler_style(value)[0]
    if value not in values:
        return "#7d8590"
    place = list(values).index(value)
    if len(values) > 1 and all(map(is_number, values)):
        from matplotlib import colormaps

        return colormaps["viridis"](0.1 + 0.75 * place / (len(values) - 1))
    return COLORS[place % len(COLORS)]


def marker_of(value: Any, values: Sequence[Any]) -> str:
    """Of one value of an option."""
    if value in SAMPLERS:
        return sampler_style(value)[1]
    return MARKERS[list(values).index(value) % len(MARKERS)] if value in values else "o"


def text_color(color: Any, style: Style) -> Any:
    """A colour for words, whose thin strokes need more contrast than marks."""
    from matplotlib.colors import to_rgb

    pairs = zip(to_rgb(color), to_rgb(style.ink), strict=True)
    return tuple((1.0 - style.contrast) * part + style.contrast * ink for part, ink in pairs)


def fill(status: str, color: Any, style: Style) -> dict[str, Any]:
    """Finished trials are solid, what was stopped or still runs is hollow."""
    face = color if status == "finished" else style.page
    return {"markerfacecolor": face, "markeredgecolor": color, "markeredgewidth": 1.6}


def plain_ticks(axes: "Axes", which: str, values: Sequence[float] | None = None) -> None:
    """Numbers as people write them on a logarithmic axis, at these values or at round ones."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axes.get_xlim() if which == "x" else axes.get_ylim())
    if values is not None:
        axis.set_major_locator(FixedLocator(list(values)))
    elif high < 4 * low:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    else:
        subs = (1, 1.5, 2, 3, 5, 7) if high < 15 * low else (1, 2, 5) if high < 50 * low else (1, 3)
        axis.set_major_locator(LogLocator(subs=subs, numticks=30))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.5g}"))


def label_ends(axes: "Axes", ends: Mapping[str, tuple[float, float, Any]], style: Style) -> None:
    """Names at the right ends of lines, (x, y, colour), moved apart where they would overlap; to be called
    when the limits of the axes are final.
    """
    scale = axes.figure.dpi / 72
    heights = {name: axes.transData.transform(end[:2])[1] / scale for name, end in ends.items()}
    for name, at in _apart(heights).items():
        axes.annotate(
            name, ends[name][:2], (8, at - heights[name]), textcoords="offset points", va="center",
            color=text_color(ends[name][2], style), fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def _apart(heights: Mapping[str, float]) -> dict[str, float]:
    """The same in the same order, moved as little as keeps LINE points between neighbours."""
    groups: list[tuple[list[str], float]] = []  # names from below, their middle
    for name in sorted(heights, key=heights.__getitem__):
        group, middle = [name], heights[name]
        while groups and middle - groups[-1][1] < LINE * (len(group) + len(groups[-1][0])) / 2:
            below, other = groups.pop()
            middle = (middle * len(group) + other * len(below)) / (len(group) + len(below))
            group = below + group
        groups.append((group, middle))
    return {
        name: middle + LINE * (place - (len(group) - 1) / 2)
        for group, middle in groups
        for place, name in enumerate(group)
    }


def label_points(axes: "Axes", labels: Sequence[tuple[float, float, str, Any]], style: Style) -> None:
    """Words (x, y, text, colour) beside marks, wherever no mark and no other word is; limits must be final.

    A word that finds no free place is left out: the table has it.
    """
    from matplotlib.transforms import Bbox

    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of Agg
    scale = axes.figure.dpi / 72
    taken = []
    for x, y, _, _ in labels:
        at, reach = axes.transData.transform((x, y)), 5 * scale
        taken.append(Bbox([at - reach, at + reach]))
    for x, y, text, color in labels:
        for dx, dy in _OFFSETS:
            side = "left" if dx > 0 else "right" if dx < 0 else "center"
            words = axes.annotate(
                text, (x, y), (dx, dy), textcoords="offset points", ha=side, va="center", fontsize=9,
                color=text_color(color, style),
            )  # fmt: skip
            box = words.get_window_extent(renderer)
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            inside &= axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            words.remove()


def as_words(text: str) -> str:
    """Text that a figure shows as it is: a pair of dollars would be read as a formula."""
    return text.replace("$", r"\$")


def value_in_words(name: str, value: Any) -> str:
    """An option's value as a label: samplers by their name alone."""
    return str(value) if value in SAMPLERS else as_words(f"{name.rpartition('.')[2]} {shown(value)}")
