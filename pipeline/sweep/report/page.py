"""`python -m pipeline.sweep.report sweeps/NAME`: the results of a sweep as one page, at any time.

report.html holds everything, images included, and needs no network; report.png is its figure, trials.csv its
table.
"""

import csv
import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from pipeline.cli.command import on_folder
from pipeline.cli.console import say
from pipeline.display import figures, html
from pipeline.sweep.report import figure, reading, results
from pipeline.sweep.report.results import Results, quality
from pipeline.sweep.report.shareable import shareable
from pipeline.sweep.trials import TRIALS, Trial

HTML, PNG, CSV = "report.html", "report.png", "trials.csv"
TEMPLATE = Path(__file__).with_name("report.html.jinja")
COLUMNS = (
    "points_per_ray status reason objective steps attempts images_per_second memory_gib seconds "
    "gpu_seconds cpu_seconds node run"
).split()
"""Columns of trials.csv between the options and the protocol."""


def write(folder: Path) -> Path:
    """Write report.html, report.png and trials.csv into a sweep's folder; returns the page.

    Raises:
        ValueError: the folder holds no sweep, or one that is damaged.
    """
    found = shareable(results.read(folder))
    html.write(folder / PNG, figures.png(figure.draw(found)))
    html.write(folder / CSV, table(found))
    return html.write(folder / HTML, as_page(found))


def as_page(found: Results) -> str:
    """The page."""
    return html.render(
        TEMPLATE,
        results=found,
        reading=reading.lines(found),
        figure=html.figure(partial(figure.draw, found)),
        curves=html.figure(partial(figure.curves, found)),
        quality=quality,
        measured=reading.measured,
        protocols=[json.dumps(protocol, indent=2) for protocol in found.protocols()],
        request=yaml.safe_dump({k: v for k, v in found.request.items() if k != "base"}, sort_keys=False),
        grids={trial.name: _grid(found, trial) for trial in found.trials},
    )


def table(found: Results) -> str:
    """All trials as CSV, best first."""
    options = list(dict.fromkeys(name for trial in found.trials for name in trial.values))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["trial", *options, *COLUMNS, "metric", "protocol"])
    for trial in found.ranking:
        protocol = json.dumps(trial.protocol) if trial.protocol else None
        own = [trial.values.get(name) for name in options]
        numbers = [quality(trial) if name == "objective" else getattr(trial, name) for name in COLUMNS]
        writer.writerow([trial.name, *own, *numbers, found.objective, protocol])
    return buffer.getvalue()


def _grid(found: Results, trial: Trial) -> str | None:
    """The last samples of a trial as a data URI."""
    files = sorted((found.folder / TRIALS / trial.name / "train" / "samples").glob("grid-*.png"))
    return html.embedded(files[-1]) if files else None


def main(arguments: Sequence[str]) -> int:
    """Write the report of the folder that is named."""
    return on_folder("sweep.report", __doc__ or "", lambda folder: say(f"report: {write(folder)}"), arguments)
