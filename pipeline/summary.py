"""`python -m pipeline.summary`: where the results of the last run are, for people."""

import json
import sys
from pathlib import Path

from pipeline.config import load
from pipeline.console import write
from pipeline.store import default_uri


def main() -> int:
    """Print paths and numbers; 1 where a stage has left nothing."""
    paths = load().paths
    metrics = Path(paths.evaluate) / "metrics.json"
    rows = [
        ("report", Path(paths.report)),
        ("pictures", Path(paths.evaluate) / "samples.png"),
        ("turned", Path(paths.evaluate) / "sweep.png"),
        ("in training", Path(paths.train) / "samples"),
        ("model", Path(paths.model)),
        ("meshes", Path(paths.export)),
        ("metrics", metrics),
    ]
    missing = [path for _, path in rows if not path.exists()]
    lines = [f"  {name:12} {path}{'   (missing)' if path in missing else ''}" for name, path in rows]
    if metrics.exists():
        lines += ["", *_numbers(json.loads(metrics.read_text(encoding="utf-8")))]
    lines += ["", f"  runs         {default_uri()}", "               make ui  opens them in a browser"]
    write("\n" + "\n".join(lines) + "\n\n")
    return 1 if missing else 0


def _numbers(metrics: dict[str, float | dict[str, float]]) -> list[str]:
    """One line a metric: the model, the untrained model, reals against reals."""
    untrained, reals = metrics.get("at_initialisation"), metrics.get("real_against_real")
    lines = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            continue
        line = f"  {name:24} {value:10.4g}"
        if isinstance(untrained, dict):
            line += f"   untrained {untrained[name]:10.4g}"
        if isinstance(reals, dict):
            line += f"   real against real {reals[name]:10.4g}"
        lines.append(line)
    return lines


if __name__ == "__main__":
    sys.exit(main())
