"""The answer as a picture: the objective over what was searched, and over what it costs."""

from typing import TYPE_CHECKING

from pipeline.display.figures import DPI, LIGHT, Style
from pipeline.sweep.report import panels, published
from pipeline.sweep.report.marks import as_words, color_of, label_ends
from pipeline.sweep.report.results import KIND, SEED, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 12.0
"""Inches: 1,200 pixels."""
ROW = 4.6
MOST_OPTIONS = 6
LABELLED = 4
"""Curves that are named: the best."""


def draw(results: Results, style: Style = LIGHT) -> "Figure":
    """The figure: for samplers and points per ray that of the paper, else one panel an option."""
    from matplotlib import rc_context

    with rc_context(style.settings):
        if results.compares_samplers:
            return _samplers(results, style)
        return _options(results, style)


def curves(results: Results, style: Style = LIGHT) -> "Figure | None":
    """The objective while trials train; None where no trial was measured twice."""
    from matplotlib import rc_context

    lines = {trial.name: results.curve(trial) for trial in results.ranking}
    if not any(len(line) > 1 for line in lines.values()):
        return None
    with rc_context(style.settings):
        figure, ((axes,),) = _canvas(1, 1)
        figure.subplots_adjust(right=0.8, top=0.96, bottom=0.12)
        by = KIND if KIND in results.options else next(iter(results.options), None)
        ends = {}
        for place, trial in reversed(list(enumerate(results.ranking))):
            steps, values = [step for step, _ in lines[trial.name]], [v for _, v in lines[trial.name]]
            color = color_of(trial.values.get(by), results.options[by]) if by else color_of("manifold", ())
            dashes = "-" if trial.status == "finished" else ":"
            width = 2.8 if place == 0 else 1.4
            axes.plot(steps, values, dashes, color=color, linewidth=width, marker=".", alpha=0.9)
            if place < LABELLED and steps:
                ends[as_words(results.label(trial))] = (steps[-1], values[-1], color)
        if all(value > 0 for line in lines.values() for _, value in line):
            axes.set_yscale("log")
            panels.plain_ticks(axes, "y")
        axes.set_xlabel("steps")
        axes.set_ylabel(f"{results.short_objective} (lower is better)")
        axes.set_xlim(left=0)
        label_ends(axes, ends, style)
        return figure


def _samplers(results: Results, style: Style) -> "Figure":
    figure, ((ours, theirs), (speed, memory)) = _canvas(2, 2)
    our_ends, their_ends = panels.over_points(ours, results, style), panels.reference(theirs, style)
    if ours.get_yscale() == "log":
        panels.same_ratios(ours, theirs)
    label_ends(ours, our_ends, style)
    label_ends(theirs, their_ends, style)
    _title(ours, "Measured here", results.short_objective + _pictures(results))
    _title(theirs, "Published, for its shape alone", published.PROTOCOL)
    _costs(speed, memory, results, style)
    return _finish(figure, results, style)


def _options(results: Results, style: Style) -> "Figure":
    names = [name for name in results.options if name != SEED][:MOST_OPTIONS]
    rows = -(-len(names) // 2) + 1
    figure, grid = _canvas(rows, 2)
    upper = [axes for row in grid[:-1] for axes in row]
    for axes, name in zip(upper, names, strict=False):
        panels.over_option(axes, results, name, style)
        _title(axes, name, results.short_objective + _pictures(results))
    for axes in upper[len(names) :]:
        axes.set_axis_off()
    _costs(grid[-1][0], grid[-1][1], results, style)
    return _finish(figure, results, style)


def _costs(speed: "Axes", memory: "Axes", results: Results, style: Style) -> None:
    panels.cost(speed, results, "images_per_second", style)
    panels.cost(memory, results, "memory_gib", style)
    _title(speed, "Quality against speed", "grey: no finished trial is better in both")
    _title(memory, "Quality against memory", "grey: no finished trial is better in both")


def _canvas(rows: int, columns: int) -> "tuple[Figure, list[list[Axes]]]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, ROW * rows + 0.5), dpi=DPI)
    FigureCanvasAgg(figure)
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.07, right=0.91, top=1 - 0.62 / height, bottom=1.35 / height, wspace=0.42, hspace=0.55
    )
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def _title(axes: "Axes", text: str, below: str) -> None:
    axes.set_title(text, loc="left", pad=22, fontsize=13, fontweight="bold")
    axes.annotate(
        below, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9,
        color=axes.xaxis.label.get_color(),
    )  # fmt: skip


def _pictures(results: Results) -> str:
    """What the numbers were measured on, where all agree."""
    protocols = results.protocols()
    if len(protocols) > 1:
        return ", DIFFERENT PROTOCOLS: not comparable"
    if not protocols or "num_reals" not in protocols[0]:
        return ""
    protocol = protocols[0]
    size = " x ".join(map(str, protocol.get("resolution", ())))
    return f", {protocol.get('num_fakes')} against {protocol['num_reals']} pictures of {size}"


def _finish(figure: "Figure", results: Results, style: Style) -> "Figure":
    counts = {
        status: results.count(status) for status in ("finished", "stopped", "failed", "running", "pending")
    }
    words = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "none yet"
    marks = "solid: finished; hollow: stopped or still training; x at the upper edge: failed"
    marks += "" if results.compares_samplers else "; numbers as in the table"
    figure.text(
        0.07, 0.012, f"{as_words(results.name)}: trials {words}. {marks}", fontsize=9, color=style.ink
    )
    return figure
