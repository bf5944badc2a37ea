"""The figure of a sweep: the objective over the options that differ, and against speed and memory."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gram.rendering.samplers import SAMPLERS
from pipeline.display.figures import COLORS, DPI, LIGHT, MARKERS, Style, legend_below, sampler_style
from pipeline.sweep.report import published
from pipeline.sweep.report.reading import measured
from pipeline.sweep.report.results import KIND, SEED, Results, is_number, pareto, quality, shown
from pipeline.sweep.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH, ROW = 12.0, 4.6
"""Inches: 1,200 pixels, and the height of a row of panels."""
MOST_LINES, MOST_TICKS, MOST_NAMED = 6, 8, 6
"""Values of an option that colours tell apart, values that have a tick each, and curves that are named."""
LONGEST, WIDEST, LARGEST = 60, 80, 1e100
"""Characters of a text and of all values along an axis, and the largest number that is drawn as it is."""
MARKS = "solid: finished; hollow: stopped or not finished; cross: failed; numbers as in the table"
COSTS = {
    "images_per_second": ("speed", "images/s in training, faster to the left"),
    "memory_gib": ("memory", "GiB of the training process"),
}
"""Cost of a trial -> its name, label of its axis."""


def draw(results: Results, style: Style = LIGHT) -> "Figure":
    """Four panels: over points per ray beside the paper's, or over two options that differ; and costs."""
    from matplotlib import rc_context

    results = replace(results, trials=[_drawable(trial) for trial in results.trials])
    with rc_context(style.settings):
        figure = _canvas(2 * ROW)
        (left, right), costs = figure.subplots(2, 2)
        if results.compares_samplers:
            _over_points(left, results, style)
            _published(right, style)
            _same_ratios(left, right)
        else:
            names = [*(name for name in results.options if name != SEED), None, None]
            for axes, name in zip((left, right), names, strict=False):
                _over_option(axes, results, name, style) if name else axes.set_axis_off()
        for axes, cost in zip(costs, COSTS, strict=True):
            _over_cost(axes, results, cost, style)
        figure.supxlabel(f"{as_words(results.name)}; {MARKS}", fontsize=9)
    return figure


def curves(results: Results, style: Style = LIGHT) -> "Figure | None":
    """The objective over steps of training; None where no trial was measured twice."""
    from matplotlib import rc_context

    lines = [
        (t, [(step, max(-LARGEST, min(y, LARGEST))) for step, y in results.curve(t)]) for t in results.ranking
    ]
    if not any(len(line) > 1 for _, line in lines):
        return None
    with rc_context(style.settings):
        figure = _canvas(ROW)
        axes = figure.subplots()
        for rank, (trial, line) in enumerate(lines):
            named = rank < MOST_NAMED
            axes.plot(
                [step for step, _ in line], [value for _, value in line],
                "-" if trial.status == "finished" else ":", marker=".", zorder=3 if named else 2,
                color=COLORS[rank] if named else style.faint, linewidth=2.2 if named else 1.2,
                label=as_words(f"{trial.number}: {results.label(trial)}") if named else "",
            )  # fmt: skip
        _objective(axes, results, [value for _, line in lines for _, value in line])
        axes.set(xlabel="steps", xlim=(0, None))
        legend_below(axes, labelcolor=style.ink, ncols=2)
    return figure


def _drawable(trial: Trial) -> Trial:
    """The trial with numbers whose differences are finite."""
    numbers = {name: getattr(trial, name) for name in ("objective", *COSTS)}
    return replace(trial, **{k: max(-LARGEST, min(v, LARGEST)) for k, v in numbers.items() if is_number(v)})


def as_words(text: str, longest: int = LONGEST) -> str:
    """Text as a figure shows it: cut, and without formulas, which stand between dollars."""
    return (text if len(text) <= longest else f"{text[: longest - 1]}\u2026").replace("$", r"\$")


def _over_points(axes: "Axes", results: Results, style: Style) -> None:
    _trials(axes, results, lambda trial: trial.points_per_ray, KIND, style, lines=True)
    if ticks := sorted({trial.points_per_ray for trial in results.trials}):
        _scale(axes, "x", ticks, ticks)
    _title(axes, "Measured here", measured(*results.protocols()), "points per ray")


def _published(axes: "Axes", style: Style) -> None:
    """The objective over points per ray as the paper has it, dashed."""
    for kind, line in published.LINES.items():
        (color, marker), label = sampler_style(kind), published.NAMES[kind]
        axes.plot([*line], [*line.values()], "--", color=color, marker=marker, mfc="none", label=label)
    for which, ticks in (("x", [6, 12, 24, 36, 48]), ("y", [25, 30, 40, 60, 80, 120])):
        _scale(axes, which, ticks, ticks)
    _title(axes, "Published, for its shape alone", published.PROTOCOL, "points per ray")
    axes.set_ylabel("FID 5k (published)")
    legend_below(axes, labelcolor=style.ink, ncols=len(published.LINES))


def _same_ratios(*panels: "Axes") -> None:
    """Give logarithmic axes the same number of decades: equal slopes are then equal ratios."""
    if all(axes.get_yscale() == "log" for axes in panels):
        spans = [axes.get_ylim()[1] / axes.get_ylim()[0] for axes in panels]
        for axes, span in zip(panels, spans, strict=True):
            (low, high), more = axes.get_ylim(), (max(spans) / span) ** 0.5
            axes.set_ylim(low / more, high * more)


def _over_option(axes: "Axes", results: Results, name: str, style: Style) -> None:
    """The objective over the values of an option, with lines by the other one where two differ."""
    values = results.options[name]
    numeric = all(map(is_number, values))
    places = {repr(value): value if numeric else place for place, value in enumerate(values)}
    others = [other for other in results.options if other not in (name, SEED)]

    def place(trial: Trial) -> float | None:
        return places.get(repr(trial.values.get(name)))

    _trials(axes, results, place, _few(results, others), style, lines=numeric and len(others) == 1)
    if numeric:
        _scale(axes, "x", values, values if len(values) <= MOST_TICKS else None)
    else:
        axes.set_xticks(range(len(values)), [as_words(shown(v), WIDEST // len(values)) for v in values])
    _title(axes, as_words(name), measured(*results.protocols()), as_words(name))


def _over_cost(axes: "Axes", results: Results, cost: str, style: Style) -> None:
    """The objective against a cost, with the Pareto front of finished trials."""
    name, label = COSTS[cost]
    sign = -1.0 if cost == "images_per_second" else 1.0
    _trials(axes, results, lambda t: getattr(t, cost), _few(results, [*results.options]), style)
    done = [(getattr(t, cost), quality(t) or 0.0, t) for t in results.finished if is_number(getattr(t, cost))]
    front = [done[k] for k in pareto([(sign * x, y) for x, y, _ in done])]
    axes.plot(
        [x for x, _, _ in front], [y for _, y, _ in front], color=style.faint, linewidth=5, alpha=0.35,
        drawstyle="steps-post", zorder=1,
    )  # fmt: skip
    for x, y, trial in front:
        axes.annotate(trial.number, (x, y), (6, 5), textcoords="offset points", fontsize=9)
    _scale(axes, "x", [x for x, _, _ in done])
    if sign < 0:
        axes.invert_xaxis()
    _title(axes, f"Quality against {name}", "grey: no finished trial is better in both", label)


def _trials(
    axes: "Axes", results: Results, place: Callable[[Trial], float | None], by: str | None, style: Style,
    *, lines: bool = False,
) -> None:  # fmt: skip
    """A mark a trial in the colour of an option's value, and lines through means of finished trials."""
    failed: Counter[float] = Counter()
    for rank, (name, trials) in enumerate(_groups(results, by).items()):
        known = name in SAMPLERS
        color, marker = sampler_style(name) if known else (COLORS[rank % 8], MARKERS[rank % 8])
        mark: dict[str, Any] = {"linestyle": "", "color": color, "markersize": 8, "markeredgewidth": 1.6}
        means: dict[float, list[float]] = defaultdict(list)
        for trial in trials:
            x, y = place(trial), quality(trial)
            if x is not None and trial.status == "failed":
                failed[x] += 1
                height = 1.03 - 0.05 * failed[x]
                axes.plot(x, height, marker="x", transform=axes.get_xaxis_transform(), **mark)
            elif x is not None and y is not None:
                finished = trial.status == "finished"
                axes.plot(x, y, marker=marker, mfc=color if finished else style.page, zorder=3, **mark)
                means[x] += [y] * finished
        xs = sorted(x for x, values in means.items() if values and lines)
        axes.plot(xs, [sum(means[x]) / len(means[x]) for x in xs], color=color, linewidth=2.2)
        label = name if known else as_words(f"{(by or '').rpartition('.')[2]} {name}", WIDEST // 3)
        axes.plot([], [], marker=marker, label=label, **mark)
    _objective(axes, results, [value for trial in results.trials if (value := quality(trial)) is not None])
    if by:
        longest = max(len(str(label)) for label in axes.get_legend_handles_labels()[1])
        legend_below(axes, labelcolor=style.ink, ncols=max(1, WIDEST // (longest + 4)))


def _groups(results: Results, by: str | None) -> dict[str, list[Trial]]:
    """Trials by their value of an option."""
    groups: dict[str, list[Trial]] = {shown(value): [] for value in results.options.get(by or "", ())}
    for trial in results.trials:
        value = results.kind(trial) if by == KIND else trial.values.get(by or "")
        groups.setdefault(shown(value), []).append(trial)
    return groups


def _few(results: Results, names: Sequence[str]) -> str | None:
    """The option that colours tell apart: the sampler, or the first one of few values."""
    few = [name for name in names if name != SEED and len(results.options[name]) <= MOST_LINES]
    return KIND if KIND in few else next(iter(few), None)


def _objective(axes: "Axes", results: Results, values: Sequence[float]) -> None:
    axes.set_ylabel(f"{as_words(results.short_objective)} (lower is better)")
    axes.margins(0.1, 0.12)
    if values:
        _scale(axes, "y", values, ratio=1.0)
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no trial was measured yet", transform=axes.transAxes, ha="center")


def _scale(
    axes: "Axes",
    which: str,
    values: Sequence[float],
    ticks: Sequence[float] | None = None,
    *,
    ratio: float = 2.0,
) -> None:
    """Plain numbers at ticks or at round values; logarithmic where all are positive and differ so much."""
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    axis: Axis = getattr(axes, f"{which}axis")
    low, high = min(values, default=0.0), max(values, default=0.0)
    if logarithmic := 0.0 < low and ratio * low <= high:
        axes.set(**{f"{which}scale": "log"})
    if ticks is not None:
        axis.set_major_locator(FixedLocator(ticks))
    elif logarithmic and high > 8.0 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:.4g}"))


def _canvas(height: float) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)  # type: ignore[union-attr]
    return figure


def _title(axes: "Axes", text: str, below: str, label: str) -> None:
    axes.set_title(text, loc="left", pad=22, fontsize=13, fontweight="bold")
    axes.annotate(below, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9)
    axes.set_xlabel(label)
