"""Parts of the figure: the objective over points per ray or another option, the published values, cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.display.figures import LIGHT, Style, legend_below
from pipeline.sweep.report import published
from pipeline.sweep.report.marks import (
    as_words,
    color_of,
    fill,
    label_points,
    marker_of,
    plain_ticks,
    text_color,
    value_in_words,
)
from pipeline.sweep.report.results import KIND, Results, is_number, pareto, quality, shown
from pipeline.sweep.report.sentences import lines_of
from pipeline.sweep.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 6
MOST_TICKS = 8
COSTS = {
    "images_per_second": ("training speed, images/s (faster to the left)", -1.0),
    "memory_gib": ("memory of the training process, GiB", 1.0),
}
"""What a trial costs -> label of its axis, 1 if less is better."""


Ends = dict[str, tuple[float, float, Any]]
"""Name -> x, y and colour of the right end of its line."""
_SIDES = {"planes": 1, "spheres": -1}
"""Where the name of a single published value stands: right or left of it."""


def over_points(axes: "Axes", results: Results, style: Style = LIGHT) -> Ends:
    """The objective over points per ray, one line a sampler through the means over seeds.

    Returns:
        The ends of the lines, to be named when the limits of the axes are final.
    """
    kinds = results.options.get(KIND) or sorted({results.kind(trial) for trial in results.trials})
    lines = lines_of(results)
    ends = {}
    for kind in kinds:
        color, line = color_of(kind, kinds), lines.get(str(kind), {})
        axes.plot(list(line), list(line.values()), color=color, linewidth=2.2, zorder=2)
        if line:
            most = max(line)
            ends[str(kind)] = (most, line[most], color)
    _marks(axes, results, [(trial.points_per_ray, trial) for trial in results.trials], KIND, style)
    ticks = sorted({trial.points_per_ray for trial in results.trials})
    _log_points(axes, ticks)
    _objective_axis(axes, results)
    _missing(axes, results, [(trial.points_per_ray, trial) for trial in results.trials], style)
    axes.set_xlabel("points per ray")
    return ends


def reference(axes: "Axes", style: Style = LIGHT) -> Ends:
    """What the paper reports, dashed, on axes of its own; returns the ends of its lines."""
    ends = {}
    for kind, line in published.lines().items():
        color = color_of(kind, ())
        axes.plot(
            list(line), list(line.values()), "--", color=color, marker=marker_of(kind, ()), markersize=7,
            linewidth=1.8, **fill("finished", color, style),
        )  # fmt: skip
        name, last = published.NAMES[kind], (max(line), line[max(line)])
        if len(line) > 1:
            ends[name] = (*last, color)
        else:
            side = _SIDES[kind]
            axes.annotate(
                name, last, (8 * side, 10), textcoords="offset points", va="center", fontweight="bold",
                ha="left" if side > 0 else "right", color=text_color(color, style),
            )  # fmt: skip
    axes.set_yscale("log")
    _log_points(axes, [6, 12, 24, 36, 48])
    axes.set_xlabel("points per ray")
    axes.set_ylabel("FID 5k (published)")
    plain_ticks(axes, "y", [25, 30, 40, 60, 80, 120])
    return ends


def same_ratios(left: "Axes", right: "Axes") -> None:
    """Give two logarithmic axes the same number of decades: equal slopes are then equal ratios."""
    spans = [axes.get_ylim()[1] / axes.get_ylim()[0] for axes in (left, right)]
    for axes, span in zip((left, right), spans, strict=True):
        low, high = axes.get_ylim()
        more = (max(spans) / span) ** 0.5
        axes.set_ylim(low / more, high * more)


def over_option(axes: "Axes", results: Results, name: str, style: Style = LIGHT) -> None:
    """The objective over the values of one option; the others make lines where they are few."""
    values = results.options[name]
    numeric = all(map(is_number, values))
    logarithmic = numeric and values[0] > 0 and values[-1] >= 4 * values[0]
    place = {repr(value): value if numeric else k for k, value in enumerate(values)}
    placed = [(place[repr(t.values[name])], t) for t in results.trials if t.values.get(name) in values]
    other = _other(results, name)
    if other is not None and numeric:
        _lines(axes, results, [(x, trial) for x, trial in placed], other, style)
    _marks(axes, results, placed, other, style)
    if logarithmic:
        axes.set_xscale("log")
    if numeric and (logarithmic or len(values) <= MOST_TICKS):
        plain_ticks(axes, "x", values if len(values) <= MOST_TICKS else None)
    if not numeric:
        axes.set_xticks(range(len(values)), [as_words(shown(value)) for value in values])
        axes.set_xlim(-0.6, len(values) - 0.4)
    _objective_axis(axes, results)
    _missing(axes, results, placed, style)
    axes.set_xlabel(name)
    if other is not None:
        _legend(axes, results, other, style)


def cost(axes: "Axes", results: Results, what: str, style: Style = LIGHT) -> None:
    """The objective against a cost, with the Pareto front of the finished trials."""
    label, sign = COSTS[what]
    by = KIND if KIND in results.options else _first_few(results)
    placed = [(getattr(trial, what), trial) for trial in results.trials if getattr(trial, what)]
    done = [(x, trial) for x, trial in placed if trial.status == "finished" and quality(trial) is not None]
    front = [done[k] for k in pareto([(sign * x, quality(trial) or 0.0) for x, trial in done])]
    axes.plot(
        [x for x, _ in front], [quality(trial) or 0.0 for _, trial in front], color=style.faint,
        linewidth=5, alpha=0.35, solid_joinstyle="round", drawstyle="steps-post", zorder=1,
    )  # fmt: skip
    _marks(axes, results, placed, by, style)
    xs = [x for x, trial in placed if quality(trial) is not None]
    if not xs:
        axes.set_xticks([])
    if xs and max(xs) >= 2 * min(xs):
        axes.set_xscale("log")
        plain_ticks(axes, "x")
    if sign < 0:
        axes.invert_xaxis()
    axes.margins(0.14)
    _objective_axis(axes, results)
    axes.set_xlabel(label)
    first = [trial for _, trial in front]
    shown_trials = first + [trial for _, trial in placed if trial not in first and quality(trial) is not None]
    labels = [
        (getattr(t, what), quality(t), _brief(results, t), _color(results, t, by)) for t in shown_trials
    ]
    if by is not None and not results.compares_samplers:
        _legend(axes, results, by, style)
    label_points(axes, labels, style)  # type: ignore[arg-type]  # those without objective are left out


def _marks(
    axes: "Axes", results: Results, placed: Sequence[tuple[float, Trial]], by: str | None, style: Style
) -> None:
    for x, trial in placed:
        if (y := quality(trial)) is not None:
            color = _color(results, trial, by)
            value, values = _value(results, trial, by)
            axes.plot(
                [x], [y], linestyle="", marker=marker_of(value, values), markersize=8, zorder=3,
                **fill(trial.status, color, style),
            )  # fmt: skip


def _missing(axes: "Axes", results: Results, placed: Sequence[tuple[float, Trial]], style: Style) -> None:
    """Failed trials as crosses at the upper edge, side by side: they have no place on the scale."""
    by = KIND if KIND in results.options else _first_few(results)
    beside: dict[float, int] = {}
    for x, trial in placed:
        if trial.status == "failed":
            beside[x] = beside.get(x, -1) + 1
            axes.annotate(
                "\u00d7", (x, 0.965), (9 * beside[x], 0), xycoords=axes.get_xaxis_transform(),
                textcoords="offset points", ha="center", va="center", fontsize=19, fontweight="bold",
                color=text_color(_color(results, trial, by), style),
            )  # fmt: skip


def _lines(
    axes: "Axes", results: Results, placed: Sequence[tuple[float, Trial]], by: str, style: Style
) -> None:
    """Through the means of finished trials of equal values."""
    for value in results.options[by]:
        mean: dict[float, list[float]] = {}
        for x, trial in placed:
            if trial in results.finished and trial.values.get(by) == value:
                mean.setdefault(x, []).append(quality(trial) or 0.0)
        xs = sorted(mean)
        color = color_of(value, results.options[by])
        axes.plot(xs, [sum(mean[x]) / len(mean[x]) for x in xs], color=color, linewidth=2.2, zorder=2)


def _other(results: Results, name: str) -> str | None:
    """The option that makes lines in a panel over `name`: the one other, if it has few values."""
    others = [option for option in results.options if option not in (name, "seed")]
    return others[0] if len(others) == 1 and len(results.options[others[0]]) <= MOST_LINES else None


def _first_few(results: Results) -> str | None:
    return next((name for name, values in results.options.items() if len(values) <= MOST_LINES), None)


def _value(results: Results, trial: Trial, by: str | None) -> tuple[Any, Sequence[Any]]:
    if by is None:
        return None, ()
    values = results.options.get(by, ())
    return (results.kind(trial) if by == KIND else trial.values.get(by)), values


def _color(results: Results, trial: Trial, by: str | None) -> Any:
    if by is None:
        return color_of("manifold", ())
    return color_of(*_value(results, trial, by))


def _brief(results: Results, trial: Trial) -> str:
    if results.compares_samplers:
        return f"{results.kind(trial)} {trial.points_per_ray}"
    return as_words(results.label(trial)) if len(trial.values) == 1 else results.number(trial)


def _legend(axes: "Axes", results: Results, by: str, style: Style) -> None:
    from matplotlib.lines import Line2D

    values = results.options[by]
    handles = [
        Line2D([], [], color=color_of(v, values), marker=marker_of(v, values), label=value_in_words(by, v))
        for v in values
    ]
    legend_below(axes, handles=handles, labelcolor=style.ink, ncols=3, gap=5.0)


def _objective_axis(axes: "Axes", results: Results) -> None:
    values = [value for trial in results.trials if (value := quality(trial)) is not None]
    if not values:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no trial was measured yet", transform=axes.transAxes, ha="center")
    if values and min(values) > 0:
        axes.set_yscale("log")
        low, high = min(values), max(values)
        pad = max((high / low) ** 0.12, 1.03)
        axes.set_ylim(low / pad, high * pad**1.6)
        plain_ticks(axes, "y")
    axes.set_ylabel(f"{results.short_objective} (lower is better)")


def _log_points(axes: "Axes", ticks: Sequence[int]) -> None:
    if not ticks:
        return
    axes.set_xscale("log")
    axes.set_xlim(ticks[0] / 1.12, ticks[-1] * 1.12)
    plain_ticks(axes, "x", ticks)
