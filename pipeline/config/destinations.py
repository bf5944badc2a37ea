"""Folders of results for models that are not this run's: runs/<model name>/export in place of runs/export."""

from dataclasses import replace
from pathlib import Path

from pipeline.config.loader import CONF, PROJECT, Resolved

RESULTS = ("evaluate", "export", "report")
"""Options of `paths` that name what is made of a model."""
DEFAULT = str((CONF / "config.yaml").relative_to(PROJECT))
PUBLISHED = ("model", "best")
"""Folders below paths.train that hold this run's models."""


def beside_own_runs(resolved: Resolved, stage: str) -> Resolved:
    """The configuration, whose results go to a folder of their own where its model is not this run's.

    What the user has set stays as it is. The files of dvc.yaml's stages are thus of what DVC trained.

    Args:
        resolved: of a stage that reads a model.
        stage: its name, for the note that tells where its results are.
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
    """A name for a model's results: its folder's, and its ancestors' where that alone tells nothing."""
    parts = _real(model).parts[1:]
    telling = [*PUBLISHED, "train", "runs", "sweeps", *taken, "noise"]
    own = parts[-1]
    if own not in telling:
        return own
    ancestors = [part for part in parts[:-1] if part not in telling]
    return "-".join([*ancestors[-1:], own])


def _real(path: str) -> Path:
    return Path(path).resolve()
