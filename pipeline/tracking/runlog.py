"""Record of a run: metrics.jsonl, the single source of all numbers, and samples/*.png.

It lies beside the checkpoints, for resumed runs, and is copied to paths.train during training.
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
"""File that identifies the run of the other files."""
MAX_LINE = 2**20
"""Maximum bytes of a record."""
REMEDY = "it is no record of a run, move the file away"


class _Record(TypedDict):
    step: Annotated[int, Bounds(low=0)]
    time: NotRequired[float]


class RunLog:
    """Reports and images of one run.

    Args:
        folder: folder beside the checkpoints; created if missing.
        published: folder of the copies, from which files of a previous run are removed.
        step: step from which training resumes; later reports are dropped.
    """

    def __init__(self, folder: Path, *, published: Path, step: int) -> None:
        self.metrics, self.samples = folder / METRICS, folder / SAMPLES
        self._folder, self._published = folder, published
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(record) for record in read(self.metrics) if record["step"] <= step]
        write_file(self.metrics, "".join(f"{line}\n" for line in kept).encode())
        sweep_inside(folder / SAMPLES)
        for name in (CURVES, ORIGIN):
            (published / name).unlink(missing_ok=True)
        write_file(published / METRICS, self.metrics.read_bytes())
        with replacing(published / SAMPLES, alone=True) as fresh:
            shutil.copytree(folder / SAMPLES, fresh, dirs_exist_ok=True)

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line with step, time and metrics; null stands for numbers that are not finite."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        line = json.dumps({"step": step, "time": round(time.time(), 3), **finite})
        for folder in (self._folder, self._published):
            with naming(folder / METRICS), (folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def image(self, name: str, step: int, pixels: Pixels) -> Path:
        """Write an image of `step` and return its path."""
        path = self._folder / SAMPLES / f"{name}-{step:07d}.png"
        write_png(path, pixels)
        write_file(self._published / SAMPLES / path.name, path.read_bytes())
        return path

    def finish(self) -> None:
        """Write the curves for `dvc plots`."""
        write_curves(self.metrics, self._published / CURVES)


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Write the origin of the record in a folder: fingerprint, data, seed."""
    write_file(folder / ORIGIN, (json.dumps(origin, indent=2) + "\n").encode())


def read_origin(folder: Path) -> dict[str, Any]:
    """Read the origin of a record; empty if missing or invalid."""
    try:
        found = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read(path: Path) -> Iterator[dict[str, float]]:
    """Read the records of a metrics file, without an incomplete last line; ValueError for other lines."""
    return (record for record, _ in read_from(path, 0))


def read_from(path: Path, start: int) -> Iterator[tuple[dict[str, float], int]]:
    """Read the records of a metrics file from byte `start`, each with the byte after it; errors as `read`.

    A file that has become shorter than `start` was rewritten, and is read from 0.
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


def images(samples: Path) -> list[tuple[int, str, Path]]:
    """List (step, name, file) of the images in a folder, sorted."""
    split = ((file.stem.rpartition("-"), file) for file in samples.glob("*-*.png"))
    return sorted((int(step), name, file) for (name, _, step), file in split if step.isdecimal())


def write_curves(metrics: Path, path: Path) -> None:
    """Write reports as CSV, one column per metric."""
    records = list(read(metrics))
    columns = list(dict.fromkeys(name for record in records for name in record if name != "time"))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns or ["step"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(records)
    write_file(path, table.getvalue().encode())
