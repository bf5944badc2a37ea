"""Check of training: networks, batch, checkpoints and time."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gram.ops.backend import backend_of
from gram.training import checkpoint
from gram.training.distributed import Processes
from gram.training.state import TrainingState
from pipeline.cli.progress import duration
from pipeline.config.places import lasting
from pipeline.config.schema import Config
from pipeline.doctor import processes as together
from pipeline.doctor.findings import Caution, Fact, Finding, Problem
from pipeline.runtime import build, scene
from pipeline.runtime.processes import Team
from pipeline.tracking import runlog
from pipeline.tracking.fingerprint import fingerprint, made_by_another_program
from pipeline.train import checkpoints


def training(config: Config) -> Iterator[Finding]:
    """Networks, batch, checkpoints and time of training with this configuration."""
    present = Path(config.paths.train_data).exists()
    dataset = scene.open_dataset(config.paths.train_data, config.data) if present else None
    meta = scene.planned_meta(config.data) if dataset is None else dataset.meta
    state = build.training_state(config, meta, torch.device("cpu"))
    yield Fact(
        "generator",
        f"{_parameters(state.generator)}, {config.sampler.points} points per ray ({config.sampler.kind})",
    )
    yield Fact("discriminator", f"{_parameters(state.discriminator)}, {meta.size} x {meta.size} pixels")
    build.require_reachable_levels(state.generator, scene.training_poses(config.data, meta))
    yield from _batch(config)
    if dataset is None:
        yield Fact("steps", "none: there is no data set to train on")
        return
    mark = fingerprint(config, data_hash=dataset.content_hash)
    yield Fact("fingerprint", mark)
    yield from _start(config, state, mark)


def processes_of(config: Config) -> int:
    """Number of processes: those of the launcher, if there is one, or of train.launch."""
    launch = config.train.launch
    return together.size() if together.size() > 1 else launch.processes * launch.machines


def _batch(config: Config) -> Iterator[Finding]:
    train, size, processes = config.train, config.data.size, processes_of(config)
    share = Processes(size=processes).share(train.batch_size)
    own = share.stop - share.start
    each = min(train.micro_batch or own, own)
    among = f"{own} on each of {processes} processes, " if processes > 1 else ""
    yield Fact("batch", f"{train.batch_size} images, {among}{each} at a time")
    yield Fact("patches", f"{train.patches} per image; recompute {str(train.recompute).lower()}")
    if size * size % train.patches:
        yield Problem(
            f"{size} x {size} pixels cannot be cut into train.patches = {train.patches} equal parts",
            f"choose a divisor of {size * size}",
        )


def _start(config: Config, state: TrainingState, mark: str) -> Iterator[Finding]:
    """Step at which training would start or resume, and its duration."""
    steps, places = config.train.steps, lasting(config.paths.checkpoints)
    folder = checkpoints.folder_of(places, mark, steps=steps)
    if process := checkpoints.holder(folder):
        yield Caution(f"process {process.pid} trains there now: a second one would be refused")
    found = checkpoint.read_newest(folder)
    if found is None:
        yield Fact("start", f"new run, {steps} steps, checkpoints in {folder}")
        for other in made_by_another_program(places, mark):
            yield Caution(f"{other} was trained by another version of gram, and would not be resumed")
    else:
        checkpoint.restore(state, found.step, found.tensors, source=str(found.path))
        yield Fact("start", f"from step {found.step} of {steps}: {found.path} is intact and fits")
        remedy = "check the disk; training sets it aside and resumes from the older one"
        yield from (Problem(str(error), remedy) for _, error in found.damaged)
        changed = checkpoints.changes(_conditions(config), found.conditions)
        if changed and found.step < steps:
            yield Caution(f"now {'; '.join(changed)}: results will be equivalent, but not bit-identical")
    yield from _time(config, folder, steps - (0 if found is None else found.step))


def _conditions(config: Config) -> Mapping[str, Any]:
    """Conditions of training; without threads if a launcher sets them."""
    processes = processes_of(config)
    device = build.device(config.train.device)
    backend = backend_of(device, kernels=config.train.kernels)
    team = Team(processes=Processes(size=processes), device=device, backend=backend)
    now = checkpoints.conditions(config, team)
    threads = config.train.threads or now["threads"]
    return {name: value for name, value in now.items() if name != "threads"} | (
        {"threads": threads} if processes == 1 else {}
    )


def _time(config: Config, folder: Path, left: int) -> Iterator[Finding]:
    """Duration of the remaining steps, from the speed of the last ones."""
    images = left * config.train.batch_size
    if images == 0:
        yield Fact("time", "none: all steps are done, the model would be published again")
        return
    speeds = [record.get("images_per_second") for record in runlog.read(folder / runlog.METRICS)]
    known = [speed for speed in speeds if speed]
    if known:
        needed = duration(images / known[-1])
        yield Fact("time", f"{needed} for {images} images, at the last speed of {known[-1]:.1f} images/s")
    else:
        yield Fact("time", f"unknown for {images} images: python -m pipeline.plan measures it")


def _parameters(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"
