"""The record of a training run: metrics.jsonl, the single source of every number, and samples/*.png.

It lives beside the checkpoints, where an interrupted run finds it again, and is copied to where the stage
publishes, so that pictures can be looked at while training goes on.
"""

import csv
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.pictures import Pixels, write_png

METRICS = "metrics.jsonl"
SAMPLES = "samples"
CURVES = "curves.csv"


class RunLog:
    """Reports and pictures of one run.

    Args:
        folder: beside the checkpoints; created if need be.
        published: where the same files are copied to; what a previous run left there is removed.
        step: the step that training goes on from; later reports are dropped, they will be made again.
    """

    def __init__(self, folder: Path, *, published: Path, step: int) -> None:
        self.metrics = folder / METRICS
        self._folder, self._published = folder, published
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(record) for record in read(self.metrics) if record["step"] <= step]
        _write_lines(self.metrics, kept)
        for name in (METRICS, CURVES, SAMPLES):
            _remove(published / name)
        published.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.metrics, published / METRICS)
        shutil.copytree(folder / SAMPLES, published / SAMPLES)

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one line: the step, the time, and every metric (null where it is not finite)."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        line = json.dumps({"step": step, "time": round(time.time(), 3), **finite})
        for folder in (self._folder, self._published):
            with (folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def picture(self, name: str, step: int, pixels: Pixels) -> Path:
        """Keep a picture made at `step`; returns its path."""
        path = self._folder / SAMPLES / f"{name}-{step:07d}.png"
        write_png(path, pixels)
        shutil.copyfile(path, self._published / SAMPLES / path.name)
        return path

    def finish(self) -> None:
        """Write the curves that `dvc plots` shows."""
        write_curves(self.metrics, self._published / CURVES)


def read(path: Path) -> Iterator[dict[str, float]]:
    """Records of a metrics file in order; a last line cut short and a missing file count as nothing."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def write_curves(metrics: Path, path: Path) -> None:
    """One row a report, one column a metric."""
    records = list(read(metrics))
    columns = list(dict.fromkeys(name for record in records for name in record if name != "time"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns or ["step"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)


def _write_lines(path: Path, lines: list[str]) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    aside.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
