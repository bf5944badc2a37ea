"""How much of a difference between trials is chance."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.sweep.report.results import SEED, Results, quality

MEASUREMENTS = 5
"""Fewest of a trial that tell how they fluctuate; the first half, where it learns fast, is not used."""
SIGMAS = 2.0


@dataclass(frozen=True)
class Chance:
    """Standard deviation of the objective of one trial, and where it is known from."""

    sigma: float
    source: str

    def explains(self, difference: float) -> bool:
        """Whether two trials may differ by so much by chance."""
        return abs(difference) <= SIGMAS * math.sqrt(2.0) * self.sigma


def of_results(results: Results) -> Chance | None:
    """From trials that differ in their seed alone, else from how a trial goes up and down; None: unknown."""
    return _of_seeds(results) or _of_curves(results)


def _of_seeds(results: Results) -> Chance | None:
    groups: dict[str, list[float]] = defaultdict(list)
    for trial in results.finished:
        value = quality(trial)
        assert value is not None, "finished trials that were measured"
        groups[str({name: v for name, v in trial.values.items() if name != SEED})].append(value)
    repeated = [values for values in groups.values() if len(values) > 1]
    if not repeated:
        return None
    squares = sum(sum((v - sum(values) / len(values)) ** 2 for v in values) for values in repeated)
    freedom = sum(len(values) - 1 for values in repeated)
    source = f"the spread of {sum(map(len, repeated))} trials that differ in their seed alone"
    return Chance(math.sqrt(squares / freedom), source)


def _of_curves(results: Results) -> Chance | None:
    """Second differences know no trend: for independent errors their variance is six times as large."""
    squares: list[float] = []
    for trial in results.finished:
        values = [value for _, value in results.curve(trial)]
        if len(values) >= MEASUREMENTS:
            squares += [second**2 for second in _second_differences(values[len(values) // 2 - 1 :])]
    if not squares:
        return None
    source = (
        "how the objective goes up and down between measurements of one trial: another seed may change more"
    )
    return Chance(math.sqrt(sum(squares) / len(squares) / 6.0), source)


def _second_differences(values: Sequence[float]) -> list[float]:
    return [a - 2.0 * b + c for a, b, c in zip(values, values[1:], values[2:], strict=False)]
