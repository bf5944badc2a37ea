"""Provenance of a model, and commands that reproduce it."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch

from gram.system import documents
from pipeline.config.pinned import shareable
from pipeline.config.schema import Config
from pipeline.tracking import provenance

ORIGIN = ("seed", "data_hash", "fingerprint", "run", "images", "steps")
"""Fields of `made_from` in model.json that `facts` needs."""


class _Meta(TypedDict):
    kind: NotRequired[str]
    licence: NotRequired[str]


def facts(described: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, str]:
    """Facts by label from a model's settings and the meta.json of its training data (empty if unknown)."""
    made, sampler = described["made_from"], described["sampler"]
    size = described["discriminator"]["size"]
    points = sampler.get("points") or sampler["levels"] + (sampler["background_z"] is not None)
    program = provenance.program()
    known = {
        "shows": f"{data.get('kind', 'images')}, {size} x {size} pixels",
        "sampler": f"{sampler['kind']}, {points} points per ray",
        "trained": f"{made['steps']:,} steps, {made['images']:,} images",
        "field": f"{described['radiance']['layers']} sine layers of {described['radiance']['width']}",
        "seed": str(made["seed"]),
        "data": made["data_hash"][:16],
        "licence of the data": str(data.get("licence", "")),
        "configuration": made["fingerprint"],
        "MLflow run": str(made.get("run") or ""),
        "program": _program(program),
        "report made on": _machine(),
    }
    return {name: value for name, value in known.items() if value}


def recipe(config: Config) -> tuple[list[str], str]:
    """Commands that reproduce the run, and the params.yaml that they use."""
    commit = provenance.program().get("mlflow.source.git.commit", "")
    commands = [f"git checkout {commit}"] if commit else []
    return [*commands, "cp PARAMS params.yaml    # the values below", "make run"], shareable(config)


def meta_of(folder: Path) -> dict[str, Any]:
    """Content of meta.json in a data set's folder; empty without one.

    Raises:
        ValueError: it is malformed.
    """
    path = folder / "meta.json"
    return (
        documents.read(path, _Meta, remedy="run python -m pipeline.prepare again") if path.is_file() else {}
    )


def _program(tags: Mapping[str, str]) -> str:
    commit = tags.get("mlflow.source.git.commit", "")
    changed = " with uncommitted changes" if tags.get("git.uncommitted_changes") == "true" else ""
    return commit[:12] + changed if commit else ""


def _machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {device}, Python {platform.python_version()}, torch {torch.__version__}"
