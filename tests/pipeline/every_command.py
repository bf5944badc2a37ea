"""Every command of the pipeline in one process, one after another: FOLDER gets what they write.

Prints `NAME: code` for each, and ends with 1 where a code is not 0.
"""

import sys

from stages import stage_module

from pipeline.cli.command import main
from pipeline.cli.console import write

WRITTEN = ("train_data", "test_data", "checkpoints", "train", "evaluate", "export", "noise", "report")
RUNS = ("prepare", "train", "evaluate", "export", "noise", "plan", "doctor", "pack", "report")


def tiny(folder: str) -> list[str]:
    """Options of a small run that stays in a folder."""
    paths = [f"paths.{name}='{folder}/{name}'" for name in WRITTEN if name != "report"]
    paths += [f"paths.report='{folder}/report.html'", f"paths.model='{folder}/train/model'"]
    small = ["data.size=8", "data.identities=16", "data.test_identities=1", "train.steps=2"]
    return ["experiment=tiny", "tracking=none", "train.device=cpu", *small, *paths]


def run(name: str, *arguments: str) -> int:
    """The exit code of a command."""
    stage = stage_module(name)
    return main(stage.STAGE, stage.run, arguments)


def all_of(folder: str, runs: tuple[str, ...]) -> int:
    """The number of commands that failed: the runs, and help and configuration of them and of sweep."""
    codes = {f"{name} {flag}": run(name, flag) for name in (*runs, "sweep") for flag in ("--help", "--show")}
    for name in runs:
        own = ["--to", f"{folder}/packed"] if name == "pack" else []
        codes[name] = run(name, *tiny(folder), *own)
    for name, code in codes.items():
        write(f"{name}: {code}\n")
    return sum(code != 0 for code in codes.values())


if __name__ == "__main__":
    sys.exit(min(1, all_of(sys.argv[1], tuple(sys.argv[2:]))))
