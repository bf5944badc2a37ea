"""A sweep's numbers in plain sentences, each computed from the trials, none of them a foregone conclusion."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from pipeline.sweep.report import chance as chances
from pipeline.sweep.report import published
from pipeline.sweep.report.chance import Chance
from pipeline.sweep.report.results import KIND, Results, is_number, pareto, quality, shown
from pipeline.sweep.trials import Trial

FLAT = 1.10
"""A sampler keeps its quality where its objective is at most so many times that at its most points."""
COLLAPSED = 1.5
"""It falls apart where it is more."""
LEARNING = 0.05
"""A trial still learns whose last measurement is better than the one before by this part."""
FASTER = 1.1
"""Speed is worth a sentence where it is at least so many times another's."""


def sentences(results: Results) -> list[str]:
    """What was found, most important first."""
    chance = chances.of_results(results)
    found = [_state(results)]
    if not results.finished:
        return [*found, _nothing(results)]
    if len(results.protocols()) > 1:
        return [
            *found,
            "Objectives were measured in different ways (protocols below): they cannot be compared.",
        ]
    found += _best(results, chance)
    if len(results.finished) > 1:
        found += _samplers(results, chance) if results.compares_samplers else _options(results)
        found += _cheapest(results, chance)
        found += _still_learning(results)
        found.append(_trust(results, chance))
    return found


def _state(results: Results) -> str:
    total, finished = len(results.trials), results.count("finished")
    if not total:
        return "No trial has started."
    words = [f"{finished} of {total} trials finished" if finished < total else f"All {total} trials finished"]
    if total == 1:
        words = ["The only trial finished" if finished else "The only trial has not finished"]
    names = {
        "stopped": "stopped by the scheduler",
        "failed": "failed",
        "running": "running",
        "pending": "waiting",
    }
    words += [f"{count} {name}" for status, name in names.items() if (count := results.count(status))]
    return ", ".join(words) + "."


def _nothing(results: Results) -> str:
    if any(trial.status in ("pending", "running") for trial in results.trials):
        return "Nothing can be said yet: no trial has finished with a measured objective."
    return "Nothing can be said: no trial finished with a measured objective."


def _best(results: Results, chance: Chance | None) -> list[str]:
    best, *others = results.finished
    found = f"Best is {results.label(best)} with {results.short_objective} = {_number(best)}"
    if not others:
        return [found + ": there is nothing to compare it with."]
    gap = _value(others[0]) - _value(best)
    found += f", {gap:.3g} ahead of {results.label(others[0])}"
    equals = [trial for trial in others if chance and chance.explains(_value(trial) - _value(best))]
    if chance is None:
        return [found + "."]
    if not equals:
        return [found + ", more than chance explains."]
    return [found + f"; {_count(len(equals), 'trial')} cannot be told from it by these numbers."]


def _samplers(results: Results, chance: Chance | None) -> list[str]:
    lines = lines_of(results)
    found = [_over_points(kind, line, chance) for kind, line in lines.items() if len(line) > 1]
    shared = sorted(set.intersection(*(set(line) for line in lines.values()))) if len(lines) > 1 else []
    if shared:
        most = shared[-1]
        order = sorted(lines, key=lambda kind: lines[kind][most])
        found.append(
            f"At {most} points: " + ", ".join(f"{kind} {lines[kind][most]:.4g}" for kind in order) + "."
        )
        found += _against_the_paper(order, {kind: lines[kind][most] for kind in order}, chance)
    return found


def lines_of(results: Results) -> dict[str, dict[int, float]]:
    """Sampler -> points per ray -> objective of its finished trials, the mean over seeds."""
    values: dict[str, dict[int, list[float]]] = {}
    for kind in results.options.get(KIND, ()) or [None]:
        for trial in results.finished:
            if kind in (None, results.kind(trial)):
                line = values.setdefault(results.kind(trial), {})
                line.setdefault(trial.points_per_ray, []).append(_value(trial))
    return {
        kind: {points: sum(line[points]) / len(line[points]) for points in sorted(line)}
        for kind, line in values.items()
    }


def needed_points(line: Mapping[int, float], chance: Chance | None) -> int:
    """Fewest points from which on upwards the objective stays that of the most points."""
    most = max(line)
    needed = most
    for points in sorted(line, reverse=True):
        if not _about(line[points], line[most], chance):
            break
        needed = points
    return needed


def _over_points(kind: str, line: Mapping[int, float], chance: Chance | None) -> str:
    fewest, most, needed = min(line), max(line), needed_points(line, chance)
    ends = f"{line[fewest]:.4g} at {fewest}, {line[most]:.4g} at {most}"
    if needed == fewest:
        if not _about(line[most], line[fewest], chance):
            return f"{kind} does not gain from more points: {ends}."
        return f"{kind} keeps its quality down to {fewest} points per ray: {ends}."
    how = "falls apart" if line[fewest] > COLLAPSED * line[most] > 0 else "loses quality"
    return f"{kind} {how} below {needed} points per ray: {ends}."


def _about(value: float, reference: float, chance: Chance | None) -> bool:
    """Whether a value is no worse than another, by much or by more than chance."""
    gap = value - reference
    return gap <= (FLAT - 1.0) * abs(reference) or (chance is not None and chance.explains(gap))


def _against_the_paper(order: Sequence[str], values: Mapping[str, float], chance: Chance | None) -> list[str]:
    known = [kind for kind in order if kind in published.AT_24_POINTS]
    if len(known) < 2:
        return []
    theirs = sorted(known, key=lambda kind: published.AT_24_POINTS[kind])
    expected = " before ".join(theirs)
    if known == theirs:
        neighbours = pairwise(theirs)
        sure = chance and not any(chance.explains(values[b] - values[a]) for a, b in neighbours)
        unsure = "" if sure else ", though chance could make neighbours change places"
        return [f"That is the paper's order at 24 points ({expected}){unsure}."]
    pairs = [(better, worse) for k, better in enumerate(theirs) for worse in theirs[k + 1 :]]
    turned = [(a, b) for a, b in pairs if values[a] > values[b]]
    if chance and all(chance.explains(values[a] - values[b]) for a, b in turned):
        return [f"Not quite the paper's order at 24 points ({expected}), but chance explains the difference."]
    return [f"That is not the paper's order at 24 points ({expected})."]


def _options(results: Results) -> list[str]:
    """The best trial of each value; for numbers with many values, where the best quarter lies."""
    found = []
    for name, values in results.options.items():
        if all(map(is_number, values)) and len(values) > 6:
            best = results.finished[: max(2, len(results.finished) // 4)]
            inside = [trial.values[name] for trial in best if is_number(trial.values.get(name))]
            if len(results.finished) >= 8 and inside:
                ends = f"{shown(min(inside))} to {shown(max(inside))}"
                tried = f"{shown(values[0])} to {shown(values[-1])} were tried"
                found.append(f"The best {len(best)} trials have {name} from {ends}; {tried}.")
            continue
        best_of = {shown(v): [_value(t) for t in results.finished if t.values.get(name) == v] for v in values}
        reached = {value: min(numbers) for value, numbers in best_of.items() if numbers}
        if len(reached) > 1:
            order = sorted(reached, key=reached.__getitem__)
            found.append(f"Best for each {name}: " + ", ".join(f"{v} {reached[v]:.4g}" for v in order) + ".")
    return found


def _cheapest(results: Results, chance: Chance | None) -> list[str]:
    """The fastest trial that is about as good as the best."""
    best = results.finished[0]
    timed = [trial for trial in results.finished if trial.images_per_second]
    front = [timed[k] for k in pareto([(-(t.images_per_second or 0.0), _value(t)) for t in timed])]
    close = [trial for trial in front if _about(_value(trial), _value(best), chance)]
    ratio = (close[0].images_per_second or 0.0) / (best.images_per_second or math.inf) if close else 0.0
    if ratio < FASTER:
        return []
    trial = close[0]
    cost = f"{ratio:.2g} times as fast" + _memory(trial, best)
    return [f"About as good for less: {results.label(trial)} with {_number(trial)}, {cost}."]


def _memory(trial: Trial, best: Trial) -> str:
    if not trial.memory_gib or not best.memory_gib:
        return ""
    if abs(trial.memory_gib - best.memory_gib) < 0.05 * best.memory_gib:
        return ", with as much memory"
    return f", {trial.memory_gib:.3g} GiB instead of {best.memory_gib:.3g}"


def _still_learning(results: Results) -> list[str]:
    """Whether trials were cut off while they learned."""
    curves = [[value for _, value in results.curve(trial)] for trial in results.finished]
    curves = [values for values in curves if len(values) > 1]
    improving = sum(values[-2] - values[-1] > LEARNING * abs(values[-2]) for values in curves)
    if not improving:
        return []
    return [
        f"{improving} of {len(curves)} trials still improved by more than {LEARNING:.0%} at their last "
        "measurement: longer training may change the order."
    ]


def _trust(results: Results, chance: Chance | None) -> str:
    if chance is None:
        return (
            "How much of these differences is chance is not known: each setting was trained once. "
            "Repeat some with sweep.space.seed=[0,1,2]."
        )
    return f"Chance is taken as a standard deviation of {chance.sigma:.2g}, from {chance.source}."


def _value(trial: Trial) -> float:
    value = quality(trial)
    assert value is not None, "finished trials that were measured"
    return value


def _number(trial: Trial) -> str:
    return f"{_value(trial):.4g}"


def _count(number: int, what: str) -> str:
    return f"{number} other {what}{'' if number == 1 else 's'}"
