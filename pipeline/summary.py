"""`python -m pipeline.summary`: paths and metrics of the last run."""

import sys
from pathlib import Path

from gram.model.folder import load_settings
from pipeline.cli.command import explained
from pipeline.cli.console import write
from pipeline.config.loader import load
from pipeline.config.schema import Config
from pipeline.report.sources import CERTAIN, Sources, sources_of
from pipeline.report.tables import read_metrics
from pipeline.tracking.identity import Doubt
from pipeline.tracking.mlflow.store import default_uri

MISSING = Doubt("missing")


def main() -> int:
    """Print paths and numbers; return 1 if a result is missing or of another model."""
    config = load()
    paths = config.paths
    metrics = Path(paths.evaluate) / "metrics.json"
    sources = _sources(config)
    rows = [
        ("report", Path(paths.report), sources.reported),
        ("images", Path(paths.evaluate) / "samples.png", sources.evaluated),
        ("turned", Path(paths.evaluate) / "sweep.png", sources.evaluated),
        ("in training", Path(paths.train) / "samples", sources.trained),
        ("model", Path(paths.model), CERTAIN),
        ("meshes", Path(paths.export), sources.exported),
        ("metrics", metrics, sources.evaluated),
    ]
    doubts = [doubt if path.exists() else MISSING for _, path, doubt in rows]
    lines = [
        f"  {name:12} {path}{f'   ({doubt})' if doubt else ''}"
        for (name, path, _), doubt in zip(rows, doubts, strict=True)
    ]
    if metrics.exists() and not sources.evaluated.is_another:
        lines += ["", *_numbers(read_metrics(metrics))]
    runs = config.tracking.uri or default_uri()
    lines += ["", f"  runs         {runs}", "               make ui  opens them in a browser"]
    write("\n" + "\n".join(lines) + "\n\n")
    return 1 if any(doubt is MISSING or doubt.is_another for doubt in doubts) else 0


def _sources(config: Config) -> Sources:
    """Models of all results; no doubts if there is no model."""
    if not Path(config.paths.model).exists():
        return Sources()
    return sources_of(config, load_settings(config.paths.model))


def _numbers(metrics: dict[str, float | dict[str, float]]) -> list[str]:
    """Format one line per metric: trained model, untrained model, reals against reals."""
    untrained, reals = metrics.get("at_initialisation"), metrics.get("real_against_real")
    lines = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            continue
        line = f"  {name:24} {value:10.4g}"
        if isinstance(untrained, dict) and name in untrained:
            line += f"   untrained {untrained[name]:10.4g}"
        if isinstance(reals, dict) and name in reals:
            line += f"   real against real {reals[name]:10.4g}"
        lines.append(line)
    return lines


if __name__ == "__main__":
    sys.exit(explained("summary", main))
