"""The numbers of an evaluation as tables, each with its meaning and its protocol."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from gram.system import documents
from gram.system.documents import Bounds
from pipeline.report.glossary import DISTANCES, PARTS, Grid, Meaning, PartMeaning, meaning_of
from pipeline.tracking import identity

PICTURES = "pictures"
OWN, UNTRAINED, REALS = "trained", "at_initialisation", "real_against_real"
Number = Annotated[float, Bounds(finite=False)]
Numbers = Mapping[str, float]


class Row(NamedTuple):
    """A line of a table; an empty cell was not measured."""

    meaning: Meaning
    cells: list[str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Numbers side by side; no row and no column is empty."""

    columns: list[Meaning]
    rows: list[Row]

    @property
    def explained(self) -> bool:
        """Whether rows have something to say beside their title."""
        return any(row.meaning.better or row.meaning.words for row in self.rows)


class Tile(NamedTuple):
    """A number for the top of the page."""

    title: str
    value: str
    beside: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of an evaluation."""

    name: str
    meaning: PartMeaning
    tables: list[Table]
    tiles: list[Tile]
    protocol: str
    skipped: str


def read(folder: Path) -> list[Section]:
    """Sections of an evaluation's folder, pictures first.

    Raises:
        ValueError: there is no evaluation there, or its files hold something else.
    """
    metrics = read_metrics(folder / "metrics.json")
    protocols = _read(folder / "protocol.json", dict[str, dict[str, Any]])
    parts = [name for name in protocols if name not in (OWN, UNTRAINED, REALS, identity.KEY)]
    return [_pictures(metrics, protocols), *(_part(n, _of(metrics, n), protocols[n]) for n in parts)]


def read_metrics(path: Path) -> dict[str, Number | dict[str, Number]]:
    """The numbers of an evaluation's metrics.json; errors as those of `read`."""
    return _read(path, dict[str, dict[str, Number] | Number])


def _read(path: Path, kind: Any) -> Any:
    again = "run python -m pipeline.evaluate first"
    if not path.is_file():
        raise ValueError(f"{path} is missing: {again}")
    return documents.read(path, kind, remedy=again)


def _of(metrics: Mapping[str, Any], name: str) -> Numbers:
    found = metrics.get(name, {})
    return found if isinstance(found, dict) else {}


def _pictures(metrics: Mapping[str, Any], protocols: Mapping[str, Any]) -> Section:
    own = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    beside = {f"{kind}/{n}": x for kind in (UNTRAINED, REALS) for n, x in _of(metrics, kind).items()}
    rows = {name: meaning_of(name, DISTANCES) for name in own}
    columns = {
        "{}": Meaning("value"),
        f"{UNTRAINED}/{{}}": Meaning("untrained"),
        f"{REALS}/{{}}": Meaning("real against real"),
    }
    table = _filled(Grid(columns=columns, rows=rows), own | beside)
    tiles = []
    for name in list(own)[:1]:
        untrained = beside.get(f"{UNTRAINED}/{name}")
        words = "" if untrained is None else f"untrained {shown(untrained)}"
        tiles.append(Tile(rows[name].title, shown(own[name]), words))
    used = {name: protocols[name] for name in (OWN, UNTRAINED, REALS) if name in protocols}
    return Section(
        name=PICTURES,
        meaning=PARTS[PICTURES],
        tables=[table] if table.rows else [],
        tiles=tiles,
        protocol=_text(used),
        skipped="" if own else str(protocols.get(OWN, {}).get("skipped", "")),
    )


def _part(name: str, numbers: Numbers, protocol: Mapping[str, Any]) -> Section:
    meaning = PARTS.get(name, PartMeaning(title=name.replace("_", " ")))
    tables = [_filled(grid, numbers) for grid in (*meaning.grids, _others(meaning, numbers))]
    return Section(
        name=name,
        meaning=meaning,
        tables=[table for table in tables if table.rows],
        tiles=list(_tiles(meaning, numbers)),
        protocol=_text(protocol),
        skipped=str(protocol.get("skipped", "")) if not numbers else "",
    )


def _others(meaning: PartMeaning, numbers: Numbers) -> Grid:
    """What stands in no grid of a part, a number a row."""
    taken = {pattern.format(row) for grid in meaning.grids for pattern in grid.columns for row in grid.rows}
    rows = {name: meaning_of(name, meaning.others) for name in numbers if name not in taken}
    return Grid(columns={"{}": Meaning("value")}, rows=rows)


def _tiles(meaning: PartMeaning, numbers: Numbers) -> Iterator[Tile]:
    for line in meaning.headlines:
        if line.name in numbers:
            beside = f"{line.words} {shown(numbers[line.beside])}" if line.beside in numbers else ""
            yield Tile(line.title, shown(numbers[line.name]), beside)


def _filled(grid: Grid, numbers: Numbers) -> Table:
    """The cells that have numbers, in rows and columns that have any."""
    columns = [p for p in grid.columns if any(p.format(key) in numbers for key in grid.rows)]
    rows = [
        Row(meaning, cells)
        for key, meaning in grid.rows.items()
        if any(cells := [_cell(numbers, pattern.format(key)) for pattern in columns])
    ]
    return Table(columns=[grid.columns[pattern] for pattern in columns], rows=rows)


def _cell(numbers: Numbers, name: str) -> str:
    return shown(numbers[name]) if name in numbers else ""


def shown(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def _text(protocol: Mapping[str, Any]) -> str:
    return json.dumps(protocol, indent=2)
