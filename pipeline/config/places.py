"""Places that are written to: paths that can be, and none within what another stage replaces."""

import os
import stat
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

from pipeline.config.schema import PathsConfig

REPLACED = ("train_data", "test_data", "evaluate", "export", "noise")
"""Options of folders that a stage replaces as a whole."""
TRAINED = ("best", "model", "samples", "metrics.jsonl", "curves.csv", "training.json")
"""What training replaces in paths.train."""
FOLDERS = ("checkpoints", "train", "evaluate", "export", "noise")
"""Options of folders; data sets to train on may be archives, too."""

Refuse = Callable[[str, str], None]
"""Takes the name of an option, and its value with what is wrong with it."""


def check_paths(paths: PathsConfig, refuse: Refuse) -> None:
    """Refuse paths that cannot be written to, and those that one stage would write and another one remove."""
    for name, value in vars(paths).items():
        if problem := _unusable(name, value):
            refuse(f"paths.{name}", f"{value!r}, {problem}")
    real = {name: Path(os.path.realpath(value)) for name, value in vars(paths).items()}
    for one, other in combinations(REPLACED, 2):
        if real[one] == real[other]:
            refuse(f"paths.{other}", f"{real[other]}, which is paths.{one}, too: give each its own")
    for outer in REPLACED:
        for inner in (*REPLACED, "train", "checkpoints", "report"):
            if inner != outer and real[inner].is_relative_to(real[outer]):
                problem = f"which lies in paths.{outer} = {real[outer]} and would be removed with it"
                refuse(f"paths.{inner}", f"{real[inner]}, {problem}: give it a place of its own")
    for inner in (*REPLACED, "checkpoints", "report"):
        for entry in TRAINED:
            if real[inner].is_relative_to(real["train"] / entry):
                problem = f"which is where training writes {entry}"
                refuse(f"paths.{inner}", f"{real[inner]}, {problem}: give it a place of its own")


def _unusable(name: str, value: str) -> str:
    """What is wrong with a path; empty where nothing is."""
    try:
        kind = os.stat(value).st_mode
    except FileNotFoundError:
        kind = None
    except NotADirectoryError:
        return "but a part of it is a file: give another place"
    except OSError as error:
        return f"which cannot be used ({error.strerror}): give another place"
    if name == "model" or kind is None:
        return ""
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        return "which is neither a file nor a folder: give another place"
    if name in FOLDERS and not stat.S_ISDIR(kind):
        return "which is a file: give a folder"
    if name == "report" and stat.S_ISDIR(kind):
        return "which is a folder: give the name of a page, such as runs/report.html"
    return ""
