"""Repositories of their own that hold the program and run it under DVC."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.config.presets import CONF
from pipeline.config.yaml_reading import PROJECT

ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
ENVIRONMENT |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def call(folder: Path, *command: str, **variables: str) -> str:
    environment = {**ENVIRONMENT, **variables}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def make_clone(folder: Path) -> None:
    """A repository with the small experiment as its params.yaml."""
    tracked = subprocess.run(
        ["git", "ls-files", "gram", "pipeline", "conf", "dvc.yaml", ".dvc", ".dvcignore", ".gitignore"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in tracked.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, folder / name)
    shutil.copyfile(CONF / "experiment/tiny.yaml", folder / "params.yaml")
    call(folder, "git", "init", "-q")
    call(folder, "git", "config", "user.name", "test")
    call(folder, "git", "config", "user.email", "test@localhost")
    call(folder, "git", "add", ".")
    call(folder, "git", "commit", "-qm", "start")
