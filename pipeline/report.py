"""`python -m pipeline.report`: everything about a run on one page that needs nothing but a browser."""

import sys
from pathlib import Path
from typing import Any

from pipeline import build, page, runlog, tracking
from pipeline.cli import Stage, main
from pipeline.console import say
from pipeline.reporting import curves, numbers
from pipeline.reporting.exports import Exports
from pipeline.reporting.facts import ORIGIN, facts, meta_of, recipe
from pipeline.schema import Config

STAGE = Stage(
    name="report",
    summary="""
One self-contained page, paths.report: samples, people turned with their depth and normals, one becoming
another, where the surfaces are, every number with its meaning and its protocol, learning curves, turntables,
the exports in a 3D viewer, and how to make the run again. It reads what the other stages wrote, measures
nothing, and leaves out what is not there.""",
    groups=("paths",),
    examples=(
        ("python -m pipeline.report", "of the run in runs/"),
        ("xdg-open runs/report.html", "look at it; the same page is in MLflow, under the run's artifacts"),
    ),
    reads_model=True,
)
TEMPLATE = Path(__file__).parent / "reporting" / "report.html.jinja"


def run(config: Config) -> None:
    """Write the page to paths.report and to the run that trained the model.

    Raises:
        ValueError: there is no model, or it was not evaluated.
    """
    described = build.described(config.paths.model, *ORIGIN)
    path = page.write(Path(config.paths.report), as_page(config, described))
    tracker = tracking.start(config.tracking, run_id=described["made_from"]["run"])
    tracker.artifact(path)
    tracker.finish()
    say(f"report: {path}, {path.stat().st_size / 1e6:.1f} MB")


def as_page(config: Config, described: dict[str, Any]) -> str:
    """The page of a run."""
    evaluated, exported = Path(config.paths.evaluate), Path(config.paths.export)
    records = list(runlog.read(Path(config.paths.train) / runlog.METRICS))
    exports = Exports.read(exported)
    commands, values = recipe(config)
    return page.render(
        TEMPLATE,
        facts=facts(described, meta_of(Path(config.paths.train_data))),
        sections=numbers.read(evaluated),
        pictures={file.stem: page.embedded(file) for file in sorted(evaluated.glob("*.png"))},
        curves=page.figure(lambda style: curves.draw(records, style)),
        exports=exports,
        commands=commands,
        values=values,
    )


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
