"""Small training runs for tests, in this process or as one of their own."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.cli.command import main
from pipeline.config.yaml_reading import PROJECT
from pipeline.tracking import runlog
from pipeline.train import stage as train

STEPS = 24
PATIENCE = 180
"""Seconds until a run counts as stuck."""
OPTIONS = ("experiment=tiny", "tracking=none", "train.sample_every=12", "train.checkpoint_every=5")


def arguments(data: list[str], folder: Path, *more: str) -> list[str]:
    places = [f"paths.checkpoints='{folder}/checkpoints'", f"paths.train='{folder}/out'"]
    return [*OPTIONS, *data, *places, f"train.steps={STEPS}", *more]


def run(data: list[str], folder: Path, *more: str) -> int:
    return main(train.STAGE, train.run, arguments(data, folder, *more))


def start(data: list[str], folder: Path, *more: str) -> subprocess.Popen[str]:
    """The same as a process of its own."""
    command = [sys.executable, "-m", "pipeline.train", *arguments(data, folder, *more)]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)


@contextmanager
def killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which a failing test does not leave behind."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and messages of a process that should end by itself."""
    with killed_at_the_end(process):
        _, messages = process.communicate(timeout=PATIENCE)
        return process.returncode, messages


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    metrics = folder / "out" / runlog.METRICS
    while not any(record["step"] >= step for record in runlog.read(metrics)):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def result(folder: Path) -> dict[str, str]:
    """Name -> hash of every tensor file of the model."""
    files = sorted((folder / "out/model").glob("*.safetensors"))
    assert len(files) == 2
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(r["step"], r["loss/discriminator"]) for r in runlog.read(folder / "out" / runlog.METRICS)]
