"""Differences between trials that chance explains."""

import math
from collections import defaultdict
from dataclasses import dataclass

from pipeline.sweep.report.results import SEED, Results, quality

MEASUREMENTS = 5
"""Fewest measurements of a trial whose fluctuation, in its second half, is used."""
SIGMAS = 2.0


@dataclass(frozen=True)
class Chance:
    """Standard deviation of the objective of one trial, and its source."""

    sigma: float
    source: str

    @property
    def margin(self) -> float:
        """Largest difference between two trials that chance explains."""
        return SIGMAS * math.sqrt(2.0) * self.sigma

    def explains(self, difference: float) -> bool:
        """True where two trials may differ by so much by chance."""
        return abs(difference) <= self.margin


def of_results(results: Results) -> Chance | None:
    """Chance from trials that differ in their seed alone, else from learning curves; None: unknown."""
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
    """Chance from second differences, which have no trend and six times the variance of the errors."""
    squares: list[float] = []
    for trial in results.finished:
        values = [value for _, value in results.curve(trial)]
        if len(values) >= MEASUREMENTS:
            late = values[len(values) // 2 - 1 :]
            squares += [(a - 2.0 * b + c) ** 2 for a, b, c in zip(late, late[1:], late[2:], strict=False)]
    if not squares:
        return None
    source = "the fluctuation between measurements of one trial, which other seeds may exceed"
    return Chance(math.sqrt(sum(squares) / len(squares) / 6.0), source)
