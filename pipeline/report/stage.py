"""`python -m pipeline.report`: everything about a run on one page that needs nothing but a browser."""

from pathlib import Path
from typing import Any

from pipeline.cli.console import say
from pipeline.cli.stage import Stage
from pipeline.config.places import lasting
from pipeline.config.schema import Config
from pipeline.display import html
from pipeline.display.images import is_blank
from pipeline.report import curves, tables
from pipeline.report.exports import Exports
from pipeline.report.facts import ORIGIN, facts, recipe
from pipeline.report.sources import Sources, data_of, sources_of
from pipeline.runtime import build, outputs
from pipeline.tracking import runlog, runs

STAGE = Stage(
    name="report",
    summary="""
One self-contained page, paths.report: samples, people turned with their depth and normals, one becoming
another, where the surfaces are, every number with its meaning and its protocol, learning curves, turntables,
the exports in a 3D viewer, and how to make the run again. It reads what the other stages wrote, measures
nothing, and leaves out what is not there and what is of another model.""",
    groups=("paths",),
    examples=(
        ("python -m pipeline.report", "of the run in runs/"),
        ("xdg-open runs/report.html", "look at it; the same page is in MLflow, under the run's artifacts"),
    ),
    reads_model=True,
)
NOTHING_TOLD = Sources()
TEMPLATE = Path(__file__).with_name("report.html.jinja")


def run(config: Config) -> None:
    """Write the page to paths.report and to the run that trained the model.

    Raises:
        ValueError: there is no model, it was not evaluated but another one was, or something else is where
            the page goes.
    """
    path = Path(config.paths.report)
    with outputs.replacing_page(path):
        described = build.described(config.paths.model, *ORIGIN)
        sources = sources_of(config, described)
        if sources.evaluated.is_another:
            raise ValueError(f"{config.paths.evaluate} is {sources.evaluated} first")
        html.write(path, as_page(config, described, sources))
    for part, doubt in (("exports", sources.exported), ("learning curves", sources.trained)):
        if doubt:
            say(f"report: {part}: {doubt}")
    run_id, checkpoints = described["made_from"]["run"], lasting(config.paths.checkpoints)
    runs.add(config.tracking, run_id, "report", artifacts={path: ""}, checkpoints=checkpoints)
    say(f"report: {path}, {path.stat().st_size / 1e6:.1f} MB")


def as_page(config: Config, described: dict[str, Any], sources: Sources = NOTHING_TOLD) -> str:
    """The page of a run; what is of another model is named and left out."""
    evaluated, exported = Path(config.paths.evaluate), Path(config.paths.export)
    other_training = sources.trained.is_another
    records = [] if other_training else list(runlog.read(Path(config.paths.train) / runlog.METRICS))
    drawn = [file for file in sorted(evaluated.glob("*.png")) if not is_blank(file)]
    others = sources.exported.is_another
    exports = Exports.none(exported) if others else Exports.read(exported)
    commands, values = recipe(config)
    return html.render(
        TEMPLATE,
        facts=facts(described, data_of(Path(config.paths.train_data), described)),
        sources=sources,
        sections=tables.read(evaluated),
        pictures={file.stem: html.embedded(file) for file in drawn},
        curves=html.figure(lambda style: curves.draw(records, style)),
        exports=exports,
        commands=commands,
        values=values,
    )
