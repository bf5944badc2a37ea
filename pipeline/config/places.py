"""Output paths: writable, and none inside the output of another stage."""

import os
import stat
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

from pipeline.config.schema import PathsConfig
from pipeline.config.yaml_reading import PROJECT

REPLACED = ("train_data", "test_data", "evaluate", "export", "noise")
"""Options whose folders a stage replaces as a whole."""
TRAINED = ("best", "model", "samples", "metrics.jsonl", "curves.csv", "training.json")
"""Entries of paths.train that training replaces."""
FOLDERS = ("checkpoints", "train", "evaluate", "export", "noise")
"""Options that must be folders; data sets may also be archives."""

_COPIES = (".dvc", "tmp", "exps")
"""Folder of a project in which `dvc exp run --temp` and `--queue` run stages; DVC removes it afterwards."""

Refuse = Callable[[str, str], None]
"""Callback for the name of an option, and its value with the problem."""


def check_paths(paths: PathsConfig, refuse: Refuse) -> None:
    """Refuse paths that cannot be written, and those that one stage writes and another one removes."""
    for name, value in vars(paths).items():
        if problem := _unusable(name, value):
            refuse(f"paths.{name}", f"{value!r}, {problem}")
    real = {name: Path(os.path.realpath(value)) for name, value in vars(paths).items()}
    for one, other in combinations(REPLACED, 2):
        if real[one] == real[other]:
            refuse(f"paths.{other}", f"{real[other]}, which is paths.{one}, too: choose separate folders")
    for outer in REPLACED:
        for inner in (*REPLACED, "train", "checkpoints", "report"):
            if inner != outer and real[inner].is_relative_to(real[outer]):
                problem = f"which lies in paths.{outer} = {real[outer]} and would be removed with it"
                refuse(f"paths.{inner}", f"{real[inner]}, {problem}: choose another folder")
    for inner in (*REPLACED, "checkpoints", "report"):
        for entry in TRAINED:
            if real[inner].is_relative_to(real["train"] / entry):
                problem = f"which is where training writes {entry}"
                refuse(f"paths.{inner}", f"{real[inner]}, {problem}: choose another folder")


def _unusable(name: str, value: str) -> str:
    """Problem of a path; empty if there is none."""
    try:
        kind = os.stat(value).st_mode
    except FileNotFoundError:
        kind = None
    except NotADirectoryError:
        return "but a part of it is a file: choose another path"
    except OSError as error:
        return f"which cannot be used ({error.strerror}): choose another path"
    if name == "model" or kind is None:
        return ""
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        return "which is neither a file nor a folder: choose another path"
    if name in FOLDERS and not stat.S_ISDIR(kind):
        return "which is a file: give a folder"
    if name == "report" and stat.S_ISDIR(kind):
        return "which is a folder: give the name of a page, such as runs/report.html"
    return ""


def original(folder: Path) -> Path | None:
    """Project whose temporary copy contains a folder; None if the folder is in none."""
    parts = folder.absolute().parts
    for start in range(len(parts) - len(_COPIES)):
        if parts[start : start + len(_COPIES)] == _COPIES and start + len(_COPIES) < len(parts):
            return Path(*parts[:start])
    return None


def project() -> Path:
    """Project folder; the original one if this program is in a temporary copy."""
    return original(PROJECT) or PROJECT


def lasting(path: str) -> Path:
    """Path of output that outlasts a stage without being its output: in the original of a temporary copy."""
    home = original(Path.cwd())
    return Path(path) if home is None else home / path
