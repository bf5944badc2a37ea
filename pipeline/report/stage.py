"""`python -m pipeline.report`: self-contained HTML page about a run."""

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
Writes one self-contained page, paths.report: samples, yaw sweeps with depth and normals, interpolations,
cross-sections of the surfaces, every number with its meaning and protocol, learning curves, turntables, the
exports in a 3D viewer, and commands that reproduce the run. It reads files of the other stages, measures
nothing, and leaves out what is missing or of another model.""",
    groups=("paths",),
    examples=(
        ("python -m pipeline.report", "of the run in runs/"),
        ("xdg-open runs/report.html", "open it; the same page is in MLflow, under the run's artifacts"),
    ),
    reads_model=True,
)
NO_DOUBTS = Sources()
TEMPLATE = Path(__file__).with_name("report.html.jinja")


def run(config: Config) -> None:
    """Write the page to paths.report and to the run that trained the model.

    Raises:
        ValueError: there is no model, paths.evaluate is of another one, or paths.report is not a report.
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


def as_page(config: Config, described: dict[str, Any], sources: Sources = NO_DOUBTS) -> str:
    """Page of a run; results of another model are named, but left out."""
    evaluated, exported = Path(config.paths.evaluate), Path(config.paths.export)
    other_training = sources.trained.is_another
    records = [] if other_training else list(runlog.read(Path(config.paths.train) / runlog.METRICS))
    images = [file for file in sorted(evaluated.glob("*.png")) if not is_blank(file)]
    exports = Exports.none(exported) if sources.exported.is_another else Exports.read(exported)
    commands, values = recipe(config)
    return html.render(
        TEMPLATE,
        facts=facts(described, data_of(Path(config.paths.train_data), described)),
        sources=sources,
        sections=tables.read(evaluated),
        images={file.stem: html.embedded(file) for file in images},
        curves=html.figure(lambda style: curves.draw(records, style)),
        exports=exports,
        commands=commands,
        values=values,
    )
