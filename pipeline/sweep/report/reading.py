"""Five lines that say what a sweep has shown: best, second, cheapest, counts, and how far to trust them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.cli.progress import duration
from pipeline.sweep.report import chance as chances
from pipeline.sweep.report.chance import Chance
from pipeline.sweep.report.results import Results, quality, shown
from pipeline.sweep.trials import Trial

FEW_IMAGES = 1000
"""Images below which a distance depends on their number."""
LEARNING = 0.05
"""Least relative improvement at the last measurement of a trial that still learns."""


def lines(results: Results) -> list[str]:
    """The five lines, each a sentence."""
    counts = ", ".join(
        f"{count} {status}"
        for status in ("finished", "stopped", "failed", "running", "pending")
        if (count := results.count(status))
    )
    time = duration(sum(trial.seconds for trial in results.trials))
    protocol = f"Protocol (features, generated v real images, size): {measured(*results.protocols())}."
    return [
        *_comparison(results),
        f"Trials: {counts or 'none has started'}; {time} of training in total.",
        _caution(results) or protocol,
    ]


def measured(*protocols: Mapping[str, Any] | None) -> str:
    """Features, numbers and size of images that objectives were measured with, for a single protocol."""
    if len(protocols) > 1:
        return "different protocols, not comparable"
    protocol = next(iter(protocols), None) or {}
    words = [str(protocol.get("extractor", ""))]
    if "num_reals" in protocol:
        words.append(f"{protocol.get('num_fakes')} v {protocol['num_reals']}")
    words.append("x".join(map(str, protocol.get("resolution", ()))))
    return ", ".join(filter(None, words)) or "not recorded"


def _comparison(results: Results) -> list[str]:
    """Lines on the best trial, the second and the cheapest one."""
    if why := results.why_unranked:
        return [f"Best trial: none, as {why}.", "Second trial: none.", "Cheapest trial: none."]
    chance, (best, *others) = chances.of_results(results), results.finished
    first = f"Best trial: {_named(results, best)} with {results.short_objective} = {_value(best):.4g}."
    return [first, _second(results, best, others, chance), _cheapest(results, best, others, chance)]


def _second(results: Results, best: Trial, others: Sequence[Trial], chance: Chance | None) -> str:
    if not others:
        return "Second trial: none has finished."
    gap = _value(others[0]) - _value(best)
    if chance is None:
        verdict = "chance is not known: repeat trials with sweep.space.seed=[0,1,2]"
    else:
        within = "within chance" if chance.explains(gap) else "beyond chance"
        verdict = f"{within}, which explains up to {chance.margin:.3g} (from {chance.source})"
    return f"Second trial: {_named(results, others[0])}, {gap:.3g} behind; {verdict}."


def _cheapest(results: Results, best: Trial, others: Sequence[Trial], chance: Chance | None) -> str:
    """The fastest trial that chance does not tell from the best."""
    if chance is None and others:
        return "Cheapest trial within chance of the best: not known, as chance is not."
    equal = [t for t in others if chance and chance.explains(_value(t) - _value(best))]
    trial = max([best, *equal], key=lambda trial: trial.images_per_second or 0.0)
    if trial is best:
        return f"Cheapest trial within chance of the best: the best itself, {_cost(best)}."
    cost = f"{_cost(trial)}, against {_cost(best)} of the best"
    return f"Cheapest trial within chance of the best: {_named(results, trial)}, {cost}."


def _caution(results: Results) -> str | None:
    """Reasons not to compare, or not to rely on, the numbers; None where there are none."""
    protocols = results.protocols()
    fewest = min((p["num_fakes"] for p in protocols if isinstance(p.get("num_fakes"), int)), default=None)
    stopped = sum(trial.status == "stopped" and quality(trial) is not None for trial in results.trials)
    curves = [[value for _, value in results.curve(trial)][-2:] for trial in results.finished]
    learning = sum(len(ends) == 2 and ends[0] - ends[1] > LEARNING * abs(ends[0]) for ends in curves)
    reasons = [
        f"objectives were measured by {len(protocols)} different protocols" if len(protocols) > 1 else "",
        f"stopped trials ({stopped}) did fewer steps than finished ones" if stopped else "",
        f"objectives are of {fewest} images only" if fewest is not None and fewest < FEW_IMAGES else "",
        f"{learning} of {len(curves)} finished trials still improved by more than {LEARNING:.0%} at their "
        "last measurement" if learning else "",
    ]  # fmt: skip
    return f"Caution: {'; '.join(filter(None, reasons))}." if any(reasons) else None


def _named(results: Results, trial: Trial) -> str:
    return f"{trial.number} ({results.label(trial)})"


def _cost(trial: Trial) -> str:
    speed, memory = (
        "?" if x is None else shown(float(f"{x:.3g}")) for x in (trial.images_per_second, trial.memory_gib)
    )
    return f"{speed} images/s and {memory} GiB"


def _value(trial: Trial) -> float:
    value = quality(trial)
    assert value is not None, "finished trials that were measured"
    return value
