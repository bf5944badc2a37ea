"""The record of a training run: metrics.jsonl, the single source of every number, and samples/*.png.

It lives beside the checkpoints, where an interrupted run finds it again, and is copied to where the stage
publishes, so that pictures can be looked at while training goes on.
"""

import csv
import io
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from gram.system import documents
from gram.system.documents import Bounds
from gram.system.folders import naming, replacing, sweep_inside, write_file
from pipeline.display.images import Pixels, write_png

METRICS = "metrics.jsonl"
SAMPLES = "samples"
CURVES = "curves.csv"
ORIGIN = "training.json"
"""File that tells of which training the others are."""
MAX_LINE = 2**20
"""Bytes of a record."""
REMEDY = "it is no record of a training, move the file away"


class _Record(TypedDict):
    step: Annotated[int, Bounds(low=0)]
    time: NotRequired[float]


class RunLog:
    """Reports and pictures of one run.

    Args:
        folder: beside the checkpoints; created if need be.
        published: where the same files are copied to; what a previous run left there is removed.
        step: the step that training goes on from; later reports are dropped, they will be made again.
    """

    def __init__(self, folder: Path, *, published: Path, step: int) -> None:
        self.metrics, self.samples = folder / METRICS, folder / SAMPLES
        self._folder, self._published = folder, published
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(record) for record in read(self.metrics) if record["step"] <= step]
        _write_lines(self.metrics, kept)
        sweep_inside(folder / SAMPLES)
        for name in (CURVES, ORIGIN):
            (published / name).unlink(missing_ok=True)
        write_file(published / METRICS, self.metrics.read_bytes())
        with replacing(published / SAMPLES, alone=True) as fresh:
            shutil.copytree(folder / SAMPLES, fresh, dirs_exist_ok=True)

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one line: the step, the time, and every metric (null where it is not finite)."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        line = json.dumps({"step": step, "time": round(time.time(), 3), **finite})
        for folder in (self._folder, self._published):
            with naming(folder / METRICS), (folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def picture(self, name: str, step: int, pixels: Pixels) -> Path:
        """Keep a picture made at `step`; returns its path."""
        path = self._folder / SAMPLES / f"{name}-{step:07d}.png"
        write_png(path, pixels)
        write_file(self._published / SAMPLES / path.name, path.read_bytes())
        return path

    def finish(self) -> None:
        """Write the curves that `dvc plots` shows."""
        write_curves(self.metrics, self._published / CURVES)


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Tell of which training the record in a folder is: fingerprint, data, seed."""
    write_file(folder / ORIGIN, (json.dumps(origin, indent=2) + "\n").encode())


def read_origin(folder: Path) -> dict[str, Any]:
    """What `write_origin` has told; empty where there is nothing, or no JSON."""
    try:
        found = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read(path: Path) -> Iterator[dict[str, float]]:
    """Records of a metrics file in order; a last line cut short and a missing file count as nothing.

    Raises:
        ValueError: another line is no record.
    """
    return (record for record, _ in read_from(path, 0))


def read_from(path: Path, start: int) -> Iterator[tuple[dict[str, float], int]]:
    """Records of a metrics file from a byte on, each with the byte to read on from after it.

    Args:
        path: of the file.
        start: where a line begins; where the file is shorter, it was written anew, and is read from 0.

    Raises:
        ValueError: a line is no record, but for a last one that is cut short.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        if start > os.fstat(file.fileno()).st_size:
            start = 0
        file.seek(start)
        after = f" after byte {start}" if start else ""
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            try:
                record = _record(line, f"{path}, line {number}{after}")
            except documents.DocumentError:
                if not line.endswith(b"\n") and len(line) < MAX_LINE:
                    return
                raise
            start += len(line) if line.endswith(b"\n") else 0
            yield record, start


def _record(line: bytes, source: str) -> dict[str, float]:
    record = documents.parse(line, dict[str, Any], source=source, remedy=REMEDY)
    documents.check(record, _Record, source=source, remedy=REMEDY)
    for name, value in record.items():
        if value is not None and type(value) not in (int, float):
            problem = f"{documents.shown(name)} is {documents.shown(value)}, not a number"
            raise documents.DocumentError(f"{source}: {problem}: {REMEDY}")
    return record


def pictures(samples: Path) -> list[tuple[int, str, Path]]:
    """(step, name, file) of the pictures in a folder, by step and name."""
    split = ((file.stem.rpartition("-"), file) for file in samples.glob("*-*.png"))
    return sorted((int(step), name, file) for (name, _, step), file in split if step.isdecimal())


def write_curves(metrics: Path, path: Path) -> None:
    """One row a report, one column a metric."""
    records = list(read(metrics))
    columns = list(dict.fromkeys(name for record in records for name in record if name != "time"))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns or ["step"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(records)
    write_file(path, table.getvalue().encode())


def _write_lines(path: Path, lines: list[str]) -> None:
    write_file(path, "".join(line + "\n" for line in lines).encode())
