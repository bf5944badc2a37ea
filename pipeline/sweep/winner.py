"""The best trial as a params.yaml, and how it gets into the project's."""

import io
import shutil
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gram.system import documents
from gram.system.folders import write_file
from pipeline.config.loader import Resolved, resolve
from pipeline.config.options import all_options, leaves
from pipeline.config.schema import GROUPS
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep.sweep_yaml import plain_yaml
from pipeline.sweep.trials import Trial

BEST = "best.yaml"
_NOT_PINNED = ("paths.", "tracking.")
_KEPT = ("tracking",)
"""Sections of params.yaml that say nothing about the result."""
_REMEDY = "remove it, and --resume writes it again"


def write_best(folder: Path, trial: Trial, resolved: Resolved, *, objective: str, count: int) -> Path:
    """best.yaml: presets and pinned values, of the form of params.yaml.

    Args:
        folder: of the sweep.
        trial: the best one.
        resolved: its configuration.
        objective: name of what was compared.
        count: trials that were compared.
    """
    tree = as_params(resolved)
    header = (
        f"# {trial.name}, the best of {count} trials of the sweep {folder.name}: "
        f"{objective} {trial.objective:.4g}.\n"
        "# Copied to params.yaml (python -m pipeline.sweep sweep=... --apply), dvc repro trains it.\n"
    )
    file = folder / BEST
    write_file(file, (header + OmegaConf.to_yaml(OmegaConf.create(tree))).encode())
    return file


def as_params(resolved: Resolved) -> dict[str, Any]:
    """Presets, and every value that did not come from one of them."""
    presets = tuple(f"conf/{group}/" for group in GROUPS)
    tree: dict[str, Any] = {"preset": dict(resolved.presets), "seed": resolved.config.seed}
    tree |= {group: {} for group in GROUPS if group not in _KEPT}
    for name in all_options():
        source = resolved.sources.get(name, "")
        stated = not source.startswith((*presets, "conf/config.yaml", "pipeline/config/schema.py"))
        if stated and not name.startswith(_NOT_PINNED):
            OmegaConf.update(pinned := OmegaConf.create({}), name, _value(resolved, name))
            tree = _merged(tree, OmegaConf.to_container(pinned))
    return tree


def _value(resolved: Resolved, name: str) -> Any:
    value: Any = resolved.config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _merged(tree: dict[str, Any], more: Any) -> dict[str, Any]:
    merged = OmegaConf.to_container(OmegaConf.merge(tree, more))
    assert isinstance(merged, dict)
    return {str(key): value for key, value in merged.items()}


def apply(best: Path, params: Path = PROJECT / "params.yaml") -> Path | None:
    """Write presets and values of best.yaml into params.yaml, whose comments and tracking stay.

    What params.yaml pins beyond that would make another model of it, and goes.

    Returns:
        A copy of params.yaml as it was, beside best.yaml; None where nothing changed.

    Raises:
        ValueError: one of the files is damaged, or best.yaml holds more than a sweep writes.
    """
    from ruamel.yaml import YAML

    _require_ours(best)
    resolve(params=params)
    yaml = YAML()
    yaml.preserve_quotes = True
    before = params.read_text(encoding="utf-8")
    now, wanted = yaml.load(before), yaml.load(best.read_text(encoding="utf-8"))
    for group, preset in wanted["preset"].items():
        if group not in _KEPT:
            now["preset"][group] = preset
    for section, values in wanted.items():
        if section != "preset" and section not in _KEPT:
            _set(now, section, values)
    written = io.StringIO()
    yaml.dump(now, written)
    if written.getvalue() == before:
        return None
    copy = _free_name(best.parent)
    shutil.copyfile(params, copy)
    write_file(params.resolve(), written.getvalue().encode())  # a link, to one of many, stays
    return copy


def _require_ours(best: Path) -> None:
    """Refuse a best.yaml that is damaged, or that would change what no sweep is about."""
    content = plain_yaml(best, remedy=_REMEDY)
    sections = {"preset": dict[str, str], "seed": int} | {
        group: dict[str, Any] | None for group in GROUPS if group not in _KEPT
    }
    for name, entry in content.items():
        if name not in sections:
            raise ValueError(f"{best}: {name}: no sweep writes this section: {_REMEDY}")
        documents.check({name: entry}, dict[str, sections[name]], source=str(best), remedy=_REMEDY)
    for name, value in leaves(content):
        if "${" in str(value):
            raise ValueError(f"{best}: {name} = {value}: it refers to something else: {_REMEDY}")
    resolve(params=best)


def _set(tree: Any, key: str, wanted: Any) -> None:
    """Make tree[key] equal to what is wanted, touching only what differs."""
    there = tree.get(key)
    if not isinstance(wanted, dict) or not isinstance(there, dict) or not there:
        if there != wanted:
            tree[key] = wanted
        return
    for name in [name for name in there if name not in wanted]:
        del there[name]
    for name, value in wanted.items():
        _set(there, name, value)


def _free_name(folder: Path) -> Path:
    """params.before.yaml, or the next number: no copy replaces another."""
    path, number = folder / "params.before.yaml", 1
    while path.exists():
        number += 1
        path = folder / f"params.before-{number}.yaml"
    return path
