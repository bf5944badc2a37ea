"""The numbers of an evaluation as tables, each with its meaning and its protocol."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.reporting import meanings
from pipeline.reporting.meanings import Meaning, PartMeaning

UNTRAINED, REALS = "at_initialisation", "real_against_real"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number, and the same of the untrained model and of real pictures where they were measured."""

    name: str
    meaning: Meaning
    value: str
    untrained: str = ""
    reals: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The numbers of one part of an evaluation."""

    name: str
    meaning: PartMeaning
    rows: list[Row]
    protocol: str
    skipped: str

    @property
    def compared(self) -> bool:
        """Whether there are numbers of the untrained model or of real pictures beside the model's own."""
        return any(row.untrained or row.reals for row in self.rows)


def read(folder: Path) -> list[Table]:
    """Tables of an evaluation's folder, pictures first.

    Raises:
        ValueError: there is no evaluation there.
    """
    try:
        metrics = json.loads((folder / "metrics.json").read_text())
        protocols = json.loads((folder / "protocol.json").read_text())
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} is missing: run python -m pipeline.evaluate first") from error
    parts = [name for name in protocols if name not in ("trained", UNTRAINED, REALS)]
    return [_pictures(metrics, protocols), *(_part(name, metrics, protocols[name]) for name in parts)]


def _pictures(metrics: Mapping[str, Any], protocols: Mapping[str, Any]) -> Table:
    untrained, reals = metrics.get(UNTRAINED, {}), metrics.get(REALS, {})
    rows = [
        Row(
            name=name,
            meaning=meanings.meaning_of(name),
            value=shown(value),
            untrained=shown(untrained[name]) if name in untrained else "",
            reals=shown(reals[name]) if name in reals else "",
        )
        for name, value in metrics.items()
        if not isinstance(value, dict)
    ]
    protocol = {name: protocols[name] for name in ("trained", UNTRAINED, REALS) if name in protocols}
    return Table(name="pictures", meaning=meanings.PICTURES, rows=rows, protocol=_text(protocol), skipped="")


def _part(name: str, metrics: Mapping[str, Any], protocol: Mapping[str, Any]) -> Table:
    values = metrics.get(name, {})
    return Table(
        name=name,
        meaning=meanings.PARTS.get(name, PartMeaning(name, "")),
        rows=[
            Row(name=key, meaning=meanings.meaning_of(key), value=shown(value))
            for key, value in values.items()
        ],
        protocol=_text(protocol),
        skipped=str(protocol.get("skipped", "")) if not values else "",
    )


def shown(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def _text(protocol: Mapping[str, Any]) -> str:
    return json.dumps(protocol, indent=2)
