"""Result folders of models from elsewhere: runs/<model name>/export in place of runs/export."""

from dataclasses import replace
from pathlib import Path

from pipeline.config.loader import Resolved
from pipeline.config.presets import CONF
from pipeline.config.yaml_reading import PROJECT

RESULTS = ("evaluate", "export", "report")
"""Options of `paths` for results of a model."""
DEFAULT = str((CONF / "config.yaml").relative_to(PROJECT))
PUBLISHED = ("model", "best")
"""Folders below paths.train with this run's models."""


def beside_own_runs(resolved: Resolved, stage: str) -> Resolved:
    """Redirect results to a separate folder if the model is not this run's.

    Paths that the user set stay. Outputs in dvc.yaml are thus always of the model that DVC trained.
    """
    paths = resolved.config.paths
    chosen = resolved.sources.get("paths.model") != DEFAULT
    own = {_real(f"{paths.train}/{name}") for name in PUBLISHED}
    if not chosen or _real(paths.model) in own:
        return resolved
    name = name_of(paths.model, taken={Path(getattr(paths, option)).name for option in RESULTS})
    apart = {}
    for option in RESULTS:
        if resolved.sources.get(f"paths.{option}") == DEFAULT:
            usual = Path(getattr(paths, option))
            apart[option] = str(usual.parent / name / usual.name)
    notes = list(resolved.notes)
    if stage in apart and Path(paths.model).exists():
        notes.append(f"{paths.model} is not the model of {paths.train}: writing to {apart[stage]}")
    return replace(
        resolved,
        config=replace(resolved.config, paths=replace(paths, **apart)),
        sources=resolved.sources | {f"paths.{option}": f"model={paths.model}" for option in apart},
        notes=notes,
    )


def name_of(model: str, *, taken: set[str]) -> str:
    """Name of the results of a model: that of its folder, or of an ancestor if that is generic."""
    parts = _real(model).parts[1:]
    telling = [*PUBLISHED, "train", "runs", "sweeps", *taken, "noise"]
    own = parts[-1]
    if own not in telling:
        return own
    ancestors = [part for part in parts[:-1] if part not in telling]
    return "-".join([*ancestors[-1:], own])


def _real(path: str) -> Path:
    return Path(path).resolve()
