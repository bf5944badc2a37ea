"""Which unfinished training a configuration may go on with."""

import hashlib
import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.config import PROJECT, as_dict
from pipeline.schema import Config

NOT_THE_RESULT = (
    "steps",
    "micro_batch",
    "patches",
    "recompute",
    "log_every",
    "sample_every",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_every",
    "measure_every",
    "measure_images",
    "stop_on_collapse",
    "threads",
    "device",
    "kernels",
    "launch",
)
"""Options of training that say how long, how observed and on what machines, not what."""
SCENE = ("near", "far", "background", "poses", "yaw_std", "pitch_std")
"""Options of the data that shape training beside the pictures and labels themselves."""
OBSERVERS = ("gram/diagnostics.py", "gram/kernel_trial.py", "gram/locks.py")
"""Modules of training that look on."""


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
    train = {name: value for name, value in settings["train"].items() if name not in NOT_THE_RESULT}
    if train["start_from"] is None:
        del train["start_from"]  # as if the option did not exist
    what = {"seed": config.seed, "model": settings["model"], "sampler": settings["sampler"], "train": train}
    return what | {"scene": {name: settings["data"][name] for name in SCENE}, "data": data_hash}


def program_hash() -> str:
    """Hash of the text of the modules that shape training: those that dvc.yaml lists for the stage train."""
    stages = OmegaConf.to_container(OmegaConf.load(PROJECT / "dvc.yaml"))
    assert isinstance(stages, dict)
    digest = hashlib.sha256()
    for name in stages["stages"]["train"]["deps"]:
        if name in OBSERVERS or not name.startswith(("gram/", "pipeline/build", "pipeline/scene")):
            continue
        place = PROJECT / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{file.relative_to(PROJECT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def made_by_another_program(checkpoints: Path, mark: str) -> list[Path]:
    """Folders of the same configuration and data, trained by another version of the program."""
    settings, program, *_ = mark.split("-")
    return sorted(path for path in checkpoints.glob(f"{settings}-*") if path.name.split("-")[1] != program)
