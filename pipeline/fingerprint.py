"""Which unfinished training a configuration may go on with."""

import hashlib
import json
import sys
from pathlib import Path

from pipeline.config import as_dict
from pipeline.schema import Config

NOT_THE_RESULT = (
    "steps",
    "log_every",
    "sample_every",
    "checkpoint_every",
    "keep_checkpoints",
    "threads",
    "device",
)
"""Options of training that say how long and how observed, not what."""


def fingerprint(config: Config, *, data_hash: str) -> str:
    """Two hashes, of what is trained and of the program that trains, joined by a dash.

    Equal for runs that differ in their length alone, so that raising train.steps goes on from where the last
    run stopped. A change of the data, of an option that matters, or of a loaded module of gram starts anew.
    """
    settings = as_dict(config)
    train = {name: value for name, value in settings["train"].items() if name not in NOT_THE_RESULT}
    what = {"seed": config.seed, "model": settings["model"], "sampler": settings["sampler"], "train": train}
    canonical = json.dumps({**what, "data": data_hash}, sort_keys=True)
    return f"{hashlib.sha256(canonical.encode()).hexdigest()[:12]}-{program_hash()}"


def program_hash() -> str:
    """Hash of the text of every module that is loaded now and shapes training: gram's, and what builds it."""
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        source = getattr(module, "__file__", None)
        shapes = name.partition(".")[0] == "gram" or name in ("pipeline.build", "pipeline.scene")
        if shapes and source:
            digest.update(name.encode() + b"\0" + Path(source).read_bytes())
    return digest.hexdigest()[:8]


def made_by_another_program(checkpoints: Path, mark: str) -> list[Path]:
    """Folders of the same configuration and data, trained by another version of the program."""
    settings, _, _ = mark.partition("-")
    return sorted(path for path in checkpoints.glob(f"{settings}-*") if path.name != mark)
