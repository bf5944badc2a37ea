"""Search spaces: possible values of each option, and the points that a search makes of them.

sampler.kind: [manifold, planes]            these values
train.lr_generator: {loguniform: [1e-4, 1e-2]}
train.r1_weight: {uniform: [0.5, 10]}
seed: {randint: [0, 99]}                    whole numbers, both ends included
train: {choice: [heads, ffhq]}              these values; a group's are presets
"""

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.options import ConfigError, all_options, suggestion
from pipeline.config.pinned import is_file_option, without_folders
from pipeline.config.schema import GROUPS

Values = dict[str, Any]
"""Option (dotted) or group -> value or preset."""
LONGEST_NAME = 80
MOST_TRIALS = 10_000
"""Limit of the trials of a sweep: each has a folder, and all are composed before the first one starts."""
_LARGEST = 2**53
"""Limit of the ends of an interval; larger whole numbers are no floats."""
DISTRIBUTIONS = ("uniform", "loguniform", "randint", "choice")


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """The value at a part u in [0, 1) of all."""
        return self.values[int(u * len(self.values))]

    def extremes(self) -> tuple[Any, ...]:
        """Values which are all possible if these are."""
        return self.values


@dataclass(frozen=True)
class Interval:
    """Numbers between two, evenly or in their logarithm."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, u: float) -> float:
        """The value at a part u in [0, 1) of the interval."""
        if self.whole:
            return int(self.low) + int(u * (self.high - self.low + 1))
        if self.log:
            return math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        return self.low + u * (self.high - self.low)

    def extremes(self) -> tuple[float, ...]:
        """Its two ends."""
        return self.low, self.high


Dimension = Choice | Interval
Space = dict[str, Dimension]


def read_space(tree: object, source: str) -> Space:
    """The space that a file or the command line describes.

    Raises:
        ConfigError: it is empty or misspelt; naming the entry and what is right.
    """
    if not isinstance(tree, Mapping) or not tree:
        raise ConfigError(
            f"{source}: space is empty: it holds options and their values, as sampler.points: [6, 12]"
        )
    return {str(name): _dimension(str(name), entry, source) for name, entry in _entries(tree)}


def _entries(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and their entries, sections resolved."""
    for key, entry in tree.items():
        name = f"{prefix}{key}"
        known = all_options()
        section = isinstance(entry, Mapping) and any(option.startswith(f"{name}.") for option in known)
        if section and not set(entry) <= set(DISTRIBUTIONS):
            yield from _entries(entry, f"{name}.")
        else:
            yield name, entry


def _dimension(name: str, entry: object, source: str) -> Dimension:
    where = f"{source}: space: {name}"
    known = [*all_options(), *GROUPS, "experiment"]
    if name not in known:
        raise ConfigError(f"{where}: there is no such option{suggestion(name, known)}")
    option = all_options().get(name)
    if option is not None and option.metadata["local"]:
        raise ConfigError(f"{where}: it says where this machine writes or connects: it cannot be searched")
    if isinstance(entry, list):
        if option is not None and option.is_text:
            _require_texts(entry, where)
        return _choice(entry, where)
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((kind, ends),) = entry.items()
        if kind == "choice" and isinstance(ends, list):
            return _choice(ends, where)
        if kind in DISTRIBUTIONS and kind != "choice":
            return _interval(str(kind), ends, where)
        if kind not in DISTRIBUTIONS:
            hint = suggestion(str(kind), DISTRIBUTIONS)
            raise ConfigError(f"{where}: {kind} is none of {', '.join(DISTRIBUTIONS)}{hint}")
    raise ConfigError(
        f"{where} = {entry!r}: it takes a list of values, or {{loguniform: [LOW, HIGH]}} and the like"
    )


def _require_texts(values: Sequence[Any], where: str) -> None:
    """Refuse texts without quotes that were read as something else, as 2024_11_05 is read as 20241105."""
    for value in values:
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{where} = {list(values)}: {value!r} is no text: write it in quotes, ['...']")


def _choice(values: Sequence[Any], where: str) -> Choice:
    if not values:
        raise ConfigError(f"{where}: there is no value in the list")
    if len({repr(value) for value in values}) < len(values):
        raise ConfigError(f"{where} = {list(values)}: a value stands there twice")
    return Choice(tuple(values))


def _interval(kind: str, ends: object, where: str) -> Interval:
    numbers = isinstance(ends, list) and len(ends) == 2 and all(
        isinstance(end, int | float) and not isinstance(end, bool) for end in ends
    )  # fmt: skip
    if not numbers:
        raise ConfigError(f"{where}: {kind} takes two numbers, [LOW, HIGH], not {ends!r}")
    assert isinstance(ends, list)
    low, high = ends
    if not all(abs(end) <= _LARGEST for end in ends):  # NaN is not, either
        raise ConfigError(f"{where}: {kind}: {ends}: both must be finite, at most 2^53 from 0")
    if not low < high:
        raise ConfigError(f"{where}: {kind}: {ends}: the first must be less than the second")
    if kind == "loguniform" and low <= 0:
        raise ConfigError(f"{where}: loguniform: {ends}: both must be above 0")
    if kind == "randint" and not all(isinstance(end, int) for end in ends):
        raise ConfigError(f"{where}: randint: {ends}: both must be whole numbers")
    if kind != "randint":
        _require_fractions(where, kind)
    return Interval(low, high, log=kind == "loguniform", whole=kind == "randint")


def _require_fractions(where: str, kind: str) -> None:
    """Refuse numbers between two for an option that takes whole ones."""
    option = all_options().get(where.rpartition(": ")[2])
    if option is not None and option.type in (int, int | None):
        raise ConfigError(f"{where}: {kind} gives fractions, but it takes {option.expected}: use randint")


def require_point(space: Space, values: Values, source: str) -> None:
    """Refuse values that are no point of the space.

    Raises:
        ValueError: naming the option and `source`, where they stand.
    """
    for name, entry in space.items():
        if name not in values:
            raise ValueError(f"{source}: values.{name} is missing: the folder is damaged")
        value = values[name]
        if isinstance(entry, Choice):
            possible = value in entry.values
        else:
            possible = isinstance(value, int | float) and entry.low <= value <= entry.high
        if not possible:
            raise ValueError(
                f"{source}: values.{name} = {value!r} is not in the search space: the folder is damaged"
            )


def grid(space: Space) -> list[Values]:
    """Every combination, the last option changing fastest.

    Raises:
        ConfigError: an option has no list of values.
    """
    for name, dimension in space.items():
        if not isinstance(dimension, Choice):
            raise ConfigError(
                f"space: {name}: a grid takes lists of values; for intervals set sweep.search=random"
            )
    columns = [dimension.extremes() for dimension in space.values()]
    if (count := math.prod(map(len, columns))) > MOST_TRIALS:
        raise ConfigError(
            f"space: a grid of {' x '.join(str(len(column)) for column in columns)} = {count} trials, but a "
            f"sweep has at most {MOST_TRIALS}: leave values out, or set sweep.search=random, sweep.num_trials"
        )
    return [dict(zip(space, row, strict=True)) for row in itertools.product(*columns)]


def drawn(space: Space, seed: int, index: int) -> Values:
    """The point of a number, which depends on nothing but the seed and it."""
    rng = random.Random(f"{seed} {index}")
    return {name: dimension.at(rng.random()) for name, dimension in space.items()}


def corners(space: Space) -> list[Values]:
    """Each extreme of each option, the others at their first one."""
    first = {name: dimension.extremes()[0] for name, dimension in space.items()}
    points = [first]
    for name, dimension in space.items():
        points += [{**first, name: value} for value in dimension.extremes()[1:]]
    return points


def trial_name(index: int, values: Values) -> str:
    """Name of a trial's folder and run: `003-planes-points_6`; sorts in the order of the search."""
    bare = {
        n: without_folders(v) if is_file_option(n) and isinstance(v, str) else v for n, v in values.items()
    }
    parts = [_part(name.rpartition(".")[2], value) for name, value in bare.items()]
    return "-".join([f"{index:03}", *parts])[:LONGEST_NAME].rstrip("-_.")


def _part(key: str, value: object) -> str:
    if isinstance(value, float):
        text = f"{key}_{value:.3g}"
    elif isinstance(value, str):
        text = value
    else:
        text = f"{key}_{value}"
    return re.sub(r"[^A-Za-z0-9.+]+", "_", text).strip("_")
