"""Tables of an evaluation's numbers, with their meaning and protocol."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from gram.system import documents
from gram.system.documents import Bounds
from pipeline.report.glossary import DISTANCES, PARTS, Grid, Headline, Meaning, PartMeaning, meaning_of
from pipeline.tracking import identity

IMAGES = "images"
OWN, UNTRAINED, REALS = "trained", "at_initialisation", "real_against_real"
Number = Annotated[float, Bounds(finite=False)]
Numbers = Mapping[str, float]


class Row(NamedTuple):
    """Row of a table; empty cells were not measured."""

    meaning: Meaning
    cells: list[str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Table of numbers without empty rows or columns."""

    columns: list[Meaning]
    rows: list[Row]

    @property
    def explained(self) -> bool:
        """True if any row has a description."""
        return any(row.meaning.better or row.meaning.description for row in self.rows)


class Tile(NamedTuple):
    """Number at the top of the page."""

    title: str
    value: str
    beside: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """Section of the page about one part of an evaluation."""

    name: str
    meaning: PartMeaning
    tables: list[Table]
    tiles: list[Tile]
    protocol: str
    skipped: str


def read(folder: Path) -> list[Section]:
    """Read the sections from an evaluation's folder, images first.

    Raises:
        ValueError: there is no evaluation, or its files are malformed.
    """
    metrics = read_metrics(folder / "metrics.json")
    protocols = _read(folder / "protocol.json", dict[str, dict[str, Any]])
    parts = [name for name in protocols if name not in (OWN, UNTRAINED, REALS, identity.KEY)]
    return [_images(metrics, protocols), *(_part(n, _of(metrics, n), protocols[n]) for n in parts)]


def read_metrics(path: Path) -> dict[str, Number | dict[str, Number]]:
    """Read the numbers in an evaluation's metrics.json; errors as in `read`."""
    return _read(path, dict[str, dict[str, Number] | Number])


def _read(path: Path, kind: Any) -> Any:
    again = "run python -m pipeline.evaluate first"
    if not path.is_file():
        raise ValueError(f"{path} is missing: {again}")
    return documents.read(path, kind, remedy=again)


def _of(metrics: Mapping[str, Any], name: str) -> Numbers:
    found = metrics.get(name, {})
    return found if isinstance(found, dict) else {}


def _images(metrics: Mapping[str, Any], protocols: Mapping[str, Any]) -> Section:
    """Section about distances: of the trained model, the untrained one and real images."""
    own = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    baselines = {f"{kind}/{n}": x for kind in (UNTRAINED, REALS) for n, x in _of(metrics, kind).items()}
    rows = {name: meaning_of(name, DISTANCES) for name in own}
    columns = {
        "{}": Meaning("value"),
        f"{UNTRAINED}/{{}}": Meaning("untrained"),
        f"{REALS}/{{}}": Meaning("real against real"),
    }
    table = _filled(Grid(columns=columns, rows=rows), own | baselines)
    headlines = [Headline(rows[name].title, name, f"{UNTRAINED}/{name}", "untrained") for name in rows]
    used = {name: protocols[name] for name in (OWN, UNTRAINED, REALS) if name in protocols}
    return Section(
        name=IMAGES,
        meaning=PARTS[IMAGES],
        tables=[table] if table.rows else [],
        tiles=_tiles(headlines[:1], own | baselines),
        protocol=json.dumps(used, indent=2),
        skipped="" if own else str(protocols.get(OWN, {}).get("skipped", "")),
    )


def _part(name: str, numbers: Numbers, protocol: Mapping[str, Any]) -> Section:
    meaning = PARTS.get(name, PartMeaning(title=name.replace("_", " ")))
    tables = [_filled(grid, numbers) for grid in (*meaning.grids, _others(meaning, numbers))]
    return Section(
        name=name,
        meaning=meaning,
        tables=[table for table in tables if table.rows],
        tiles=_tiles(meaning.headlines, numbers),
        protocol=json.dumps(protocol, indent=2),
        skipped=str(protocol.get("skipped", "")) if not numbers else "",
    )


def _others(meaning: PartMeaning, numbers: Numbers) -> Grid:
    """Numbers of a part that are in none of its tables, one per row."""
    taken = {pattern.format(row) for grid in meaning.grids for pattern in grid.columns for row in grid.rows}
    rows = {name: meaning_of(name, meaning.others) for name in numbers if name not in taken}
    return Grid(columns={"{}": Meaning("value")}, rows=rows)


def _tiles(headlines: Iterable[Headline], numbers: Numbers) -> list[Tile]:
    tiles: list[Tile] = []
    for line in headlines:
        if line.name in numbers:
            baseline = numbers.get(line.baseline)
            beside = "" if baseline is None else f"{line.baseline_title} {shown(baseline)}"
            tiles.append(Tile(line.title, shown(numbers[line.name]), beside))
    return tiles


def _filled(grid: Grid, numbers: Numbers) -> Table:
    """Table of the numbers of a grid, without empty rows and columns."""
    columns = [p for p in grid.columns if any(p.format(key) in numbers for key in grid.rows)]
    rows = [
        Row(meaning, cells)
        for key, meaning in grid.rows.items()
        if any(cells := [shown(numbers.get(pattern.format(key))) for pattern in columns])
    ]
    return Table(columns=[grid.columns[pattern] for pattern in columns], rows=rows)


def shown(value: float | None) -> str:
    """Format with four significant digits; empty for None."""
    return "" if value is None else f"{value:.4g}"
