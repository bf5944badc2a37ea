"""`python -m pipeline.sweeping.report sweeps/NAME`: the answer of a sweep as one page, half done or done.

report.html holds everything, pictures included, and needs no network; report.png is its figure, trials.csv
its table.
"""

import base64
import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.cli import on_folder
from pipeline.console import say
from pipeline.sweeping import figure, reading, results
from pipeline.sweeping.marks import DARK, LIGHT, Style
from pipeline.sweeping.results import Results, quality, shown
from pipeline.sweeping.trials import TRIALS, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HTML, PNG, CSV = "report.html", "report.png", "trials.csv"
TEMPLATE = Path(__file__).with_name("report.html.jinja")
LARGEST = 150_000
"""Bytes of a picture that is embedded as it is; larger ones become JPEG."""


def write(folder: Path) -> Path:
    """Write report.html, report.png and trials.csv into a sweep's folder; returns the page.

    Raises:
        ValueError: the folder holds no sweep, or one that is damaged.
    """
    found = results.read(folder)
    picture = figure.png(figure.draw(found))
    _replace(folder / PNG, picture)
    _replace(folder / CSV, table(found).encode())
    return _replace(folder / HTML, page(found, picture).encode())


def page(found: Results, picture: bytes) -> str:
    """The page, with the figure for light screens as it is in `picture`."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(
        results=found,
        sentences=reading.sentences(found),
        figure={"light": _data(picture, "png"), "dark": _drawn(found, figure.draw, DARK)},
        curves={name: _drawn(found, figure.curves, style) for name, style in _STYLES.items()},
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
    content = files[-1].read_bytes()
    if len(content) <= LARGEST:
        return _data(content, "png")
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(buffer, "JPEG", quality=88)
    return _data(buffer.getvalue(), "jpeg")


def _drawn(found: Results, draw: "Callable[[Results, Style], Figure | None]", style: Style) -> str | None:
    drawn = draw(found, style)
    return None if drawn is None else _data(figure.png(drawn), "png")


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _replace(path: Path, content: bytes) -> Path:
    """Write whole or not at all: somebody may be looking."""
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(content)
    aside.replace(path)
    return path


_STYLES = {"light": LIGHT, "dark": DARK}


def main(arguments: Sequence[str]) -> int:
    """Write the report of the folder that is named."""
    return on_folder(
        "sweeping.report", __doc__ or "", lambda folder: say(f"report: {write(folder)}"), arguments
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
