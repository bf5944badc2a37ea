"""`python -m pipeline.sweep.report sweeps/NAME`: the answer of a sweep as one page, half done or done.

report.html holds everything, pictures included, and needs no network; report.png is its figure, trials.csv
its table.
"""

import csv
import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from pipeline.cli.command import on_folder
from pipeline.cli.console import say
from pipeline.display import figures, html
from pipeline.sweep.report import figure, results, sentences
from pipeline.sweep.report.results import Results, quality, shown
from pipeline.sweep.report.shareable import shareable
from pipeline.sweep.trials import TRIALS, Trial

HTML, PNG, CSV = "report.html", "report.png", "trials.csv"
TEMPLATE = Path(__file__).with_name("report.html.jinja")


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
        sentences=sentences.sentences(found),
        figure=html.figure(partial(figure.draw, found)),
        curves=html.figure(partial(figure.curves, found)),
        rows=[_row(found, trial) for trial in found.ranking],
        failures=[trial for trial in found.ranking if trial.reason and trial.status in ("failed", "stopped")],
        protocols=[json.dumps(protocol, indent=2) for protocol in found.protocols()],
        asked=yaml.safe_dump({k: v for k, v in found.asked.items() if k != "base"}, sort_keys=False),
        grids=[(found.label(trial), trial, _grid(found, trial)) for trial in found.ranking],
    )


def table(found: Results) -> str:
    """All trials as CSV, best first."""
    options = list(dict.fromkeys(name for trial in found.trials for name in trial.values))
    plain = (
        "points_per_ray status reason objective steps attempts images_per_second memory_gib seconds "
        "gpu_seconds cpu_seconds node run"
    ).split()
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["trial", *options, *plain, "metric", "protocol"])
    for trial in found.ranking:
        protocol = json.dumps(trial.protocol) if trial.protocol else None
        own = [trial.values.get(name) for name in options]
        numbers = [quality(trial) if name == "objective" else getattr(trial, name) for name in plain]
        writer.writerow([trial.name, *own, *numbers, found.objective, protocol])
    return buffer.getvalue()


def _row(found: Results, trial: Trial) -> dict[str, str]:
    """One line of the page's table."""
    value = quality(trial)
    return {
        "name": trial.name,
        "number": found.number(trial),
        "label": found.label(trial),
        "status": trial.status + (f", attempt {trial.attempts}" if trial.attempts > 1 else ""),
        "state": trial.status,
        "objective": "" if value is None else f"{value:.4g}",
        "protocol": _protocol_in_words(trial.protocol) if value is not None else "",
        "points": str(trial.points_per_ray),
        "speed": _optional(trial.images_per_second),
        "memory": _optional(trial.memory_gib),
        "steps": f"{trial.steps:,}",
        "seconds": f"{trial.seconds:,.0f}",
        "gpu_seconds": f"{trial.gpu_seconds:,.0f}",
        "cpu_seconds": f"{trial.cpu_seconds:,.0f}",
    }


def _protocol_in_words(protocol: dict[str, Any] | None) -> str:
    """The part that people look for first; the page has all of it below the table."""
    if not protocol:
        return "not known"
    words = [str(protocol.get("extractor", ""))]
    if "num_reals" in protocol:
        words.append(f"{protocol.get('num_fakes')} v {protocol['num_reals']}")
    words.append("x".join(map(str, protocol.get("resolution", ()))))
    return ", ".join(filter(None, words)) or "see below"


def _optional(value: float | None) -> str:
    return "" if value is None else shown(float(f"{value:.3g}"))


def _grid(found: Results, trial: Trial) -> str | None:
    """The last pictures of a trial as a data URI."""
    files = sorted((found.folder / TRIALS / trial.name / "train" / "samples").glob("grid-*.png"))
    if not files:
        return None
    return html.embedded(files[-1])


def main(arguments: Sequence[str]) -> int:
    """Write the report of the folder that is named."""
    return on_folder("sweep.report", __doc__ or "", lambda folder: say(f"report: {write(folder)}"), arguments)
