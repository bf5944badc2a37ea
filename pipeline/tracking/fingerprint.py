"""Fingerprint of a training: the condition under which a configuration resumes it."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config.loader import as_dict
from pipeline.config.options import affects_result
from pipeline.config.schema import Config
from pipeline.config.yaml_reading import PROJECT
from pipeline.tracking.import_closure import import_closure

SCENE = ("near", "far", "background", "poses", "yaw_std", "pitch_std")
"""Options of the data that affect training, in addition to images and labels."""
ROOTS = (
    "pipeline.train.loop",
    "pipeline.runtime.build",
    "pipeline.runtime.scene",
    "gram.training.checkpoint",
)
"""Modules that affect training, together with their imports of gram."""
OBSERVERS = ("gram.analysis", "gram.system.locks")
"""Packages and modules of gram that training imports, without effect on weights."""


def fingerprint(config: Config, *, data_hash: str) -> str:
    """Digests of settings and program, joined by a dash.

    Runs that differ only in length have the same one, so that raising train.steps resumes the last run. A
    change of the data, of an option with effect, or of a module of the program starts a new run.
    """
    canonical = json.dumps(what_matters(config, data_hash=data_hash), sort_keys=True)
    return f"{hashlib.sha256(canonical.encode()).hexdigest()[:12]}-{program_hash()}"


def what_matters(config: Config, *, data_hash: str) -> dict[str, Any]:
    """Seed, sections and data that affect training; equal for runs of one fingerprint."""
    settings = as_dict(config)
    train = _decisive(settings["train"], "train.")
    if train["start_from"] is None:
        del train["start_from"]  # as if the option did not exist
    what = {"seed": config.seed, "model": settings["model"], "sampler": settings["sampler"], "train": train}
    return what | {"scene": {name: settings["data"][name] for name in SCENE}, "data": data_hash}


def _decisive(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Options of a section that affect the result, without empty subsections."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            found |= {key: inner} if (inner := _decisive(value, f"{prefix}{key}.")) else {}
        elif affects_result(prefix + key):
            found[key] = value
    return found


@cache
def program_hash() -> str:
    """Digest of this program's modules that can change weights."""
    return hash_of_program(PROJECT)


def hash_of_program(project: Path) -> str:
    """Digest of the names and text of the modules in a project folder that can change weights."""
    digest = hashlib.sha256()
    for name, file in import_closure(
        ROOTS, project, follow=lambda n: n.startswith("gram.") and not is_observer(n)
    ).items():
        digest.update(f"{name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def is_observer(module: str) -> bool:
    """True if a module of gram has no effect on weights."""
    return module.startswith(OBSERVERS)


def made_by_another_program(checkpoints: Path, mark: str) -> list[Path]:
    """Checkpoint folders of the same configuration and data, but another version of the program."""
    settings, program, *_ = mark.split("-")
    return sorted(path for path in checkpoints.glob(f"{settings}-*") if path.name.split("-")[1] != program)
