"""Folders of sweeps as `pipeline.sweep` leaves them, written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.display.images import write_png
from pipeline.sweep.trials import TRIALS, Trial, write_trial

METRIC = "distance/fid_effnetlite0_1000"
PROTOCOL = {"extractor": "effnetlite0", "num_fakes": 1000, "num_reals": 1000, "resolution": [32, 32]}


def trial(number: int, objective: float | None = 50.0, **changes: Any) -> Trial:
    """A finished trial of the manifold sampler at 12 points, but for `changes`."""
    values = changes.pop("values", {"sampler.kind": "manifold", "sampler.points": 12})
    plain: dict[str, Any] = {
        "points_per_ray": values.get("sampler.points", 12), "status": "finished", "attempts": 1,
        "steps": 100, "protocol": PROTOCOL, "metrics": {METRIC: objective}, "seconds": 60.0,
        "images_per_second": 40.0, "memory_gib": 1.5,
    }  # fmt: skip
    return Trial(name=f"{number:03}-trial", values=values, objective=objective, **{**plain, **changes})


def sampled(number: int, kind: str, points: int, objective: float | None = 50.0, **changes: Any) -> Trial:
    """A trial of a sampler."""
    values = {"sampler.kind": kind, "sampler.points": points}
    protocol = {**PROTOCOL, "points_per_ray": points, "random_points": kind == "hierarchical"}
    return trial(number, objective, values=values, **{"protocol": protocol, **changes})


def write_sweep(folder: Path, trials: Sequence[Trial], **asked: Any) -> Path:
    """sweep.yaml and the trials, each with curves and a picture if it has done a step."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"name": folder.name, "objective": METRIC, "space": {}, "experiment": "tiny", "overrides": []}
    (folder / "sweep.yaml").write_text(yaml.safe_dump({**plain, **asked}))
    for one in trials:
        own = folder / TRIALS / one.name
        write_trial(own, one)
        if one.steps:
            write_png(own / "train/samples/grid-0000100.png", np.full((8, 8, 3), 90, np.uint8))
            if one.objective is not None:
                write_curve(folder, one, [one.objective * factor for factor in (1.5, 1.1, 1.0)])
    return folder


def write_curve(folder: Path, one: Trial, values: Sequence[float]) -> None:
    """metrics.jsonl of a trial."""
    records = [{"step": 10 * k, "time": 1.0 * k, METRIC: value} for k, value in enumerate(values, 1)]
    file = folder / TRIALS / one.name / "train/metrics.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
