"""Which unfinished training a configuration may go on with."""

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
"""Options of the data that shape training beside the pictures and labels themselves."""
ROOTS = (
    "pipeline.train.loop",
    "pipeline.runtime.build",
    "pipeline.runtime.scene",
    "gram.training.checkpoint",
)
"""Modules that shape training; what they import of gram does as well."""
OBSERVERS = ("gram.analysis", "gram.system.locks")
"""Packages and modules of gram that training imports and that change no weights."""


def fingerprint(config: Config, *, data_hash: str) -> str:
    """Two hashes, of what is trained and of the program that trains, joined by a dash.

    Equal for runs that differ in their length alone, so that raising train.steps goes on from where the last
    run stopped. A change of the data, of an option that matters, or of a loaded module of gram starts anew.
    """
    canonical = json.dumps(what_matters(config, data_hash=data_hash), sort_keys=True)
    return f"{hashlib.sha256(canonical.encode()).hexdigest()[:12]}-{program_hash()}"


def what_matters(config: Config, *, data_hash: str) -> dict[str, Any]:
    """The seed, the sections and the data that shape training; equal for runs of one fingerprint."""
    settings = as_dict(config)
    train = _decisive(settings["train"], "train.")
    if train["start_from"] is None:
        del train["start_from"]  # as if the option did not exist
    what = {"seed": config.seed, "model": settings["model"], "sampler": settings["sampler"], "train": train}
    return what | {"scene": {name: settings["data"][name] for name in SCENE}, "data": data_hash}


def _decisive(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Options of a section that affect the result; sections in it that have none are left out."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            found |= {key: inner} if (inner := _decisive(value, f"{prefix}{key}.")) else {}
        elif affects_result(prefix + key):
            found[key] = value
    return found


@cache
def program_hash() -> str:
    """Hash of the text of the modules that can change weights."""
    return hash_of_program(PROJECT)


def hash_of_program(project: Path) -> str:
    """Hash of the modules that can change weights, of the program in a folder: their names and text."""
    digest = hashlib.sha256()
    for name, file in import_closure(ROOTS, project, follow=_can_change_weights).items():
        digest.update(f"{name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def is_observer(module: str) -> bool:
    """Whether a module of gram only looks on."""
    return module.startswith(OBSERVERS)


def _can_change_weights(module: str) -> bool:
    return module.startswith("gram.") and not is_observer(module)


def made_by_another_program(checkpoints: Path, mark: str) -> list[Path]:
    """Folders of the same configuration and data, trained by another version of the program."""
    settings, program, *_ = mark.split("-")
    return sorted(path for path in checkpoints.glob(f"{settings}-*") if path.name.split("-")[1] != program)
