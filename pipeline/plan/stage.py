"""`python -m pipeline.plan`: micro-batch and patches that fit the memory, measured."""

import math
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from gram.data.format import DatasetMeta
from pipeline.cli.console import say, write
from pipeline.cli.progress import duration
from pipeline.cli.stage import Flag, Stage
from pipeline.config.schema import Config
from pipeline.plan import trial as footprints
from pipeline.plan.search import Measurement, TooLargeError, search
from pipeline.runtime import estimates, outputs, scene
from pipeline.runtime.hardware import amount
from pipeline.runtime.launch import start

MARGIN = 0.9
"""Share of the free memory to plan with; the rest is for fragmentation and other programs."""
GIB = 2**30


def _read_gib(word: str) -> float:
    value = float(word)
    if not 0.0 < value < math.inf:
        raise ValueError
    return value


STAGE = Stage(
    name="plan",
    summary="""
Runs training steps with the networks, resolution, sampler and precision of the configuration, each in a
separate process, and finds the fewest patches (train.patches) and the largest micro-batch (train.micro_batch)
that fit the memory of the device. Writes them to runs/plan.yaml, in the format of params.yaml, and reports
the duration of training. Neither option affects the result.

It needs no data set. Synchronisation between processes is not measured.""",
    groups=("data", "model", "sampler", "train"),
    examples=(
        ("python -m pipeline.plan", "configuration of params.yaml on this machine"),
        ("python -m pipeline.plan experiment=heads32 data.size=64", "the same at a higher resolution"),
        ("python -m pipeline.plan --memory 8 train.recompute=true", "for 8 GiB, activations recomputed"),
    ),
    flags=(
        Flag(
            name="memory", value="GIB", read=_read_gib, expected="a number of GiB above 0",
            meaning="memory per process to plan for, in place of the free memory",
        ),
    ),
    require_room=partial(estimates.require_room, "plan"),
)  # fmt: skip


class Room(NamedTuple):
    """Device of a process and its memory budget."""

    device: footprints.Device
    budget: float  # bytes for a training step
    text: str


def run(config: Config, *, memory: float | None = None) -> None:
    """Measure with `memory` GiB per process (None: the free memory), and write plan.yaml.

    Raises:
        ValueError: nothing fits, the device is not available, the batch cannot be divided, or plan.yaml was
            changed by the user.
    """
    share = start.share_of(config)
    with outputs.replacing_plan(path := Path(config.paths.train).parent / "plan.yaml"):
        outputs.write_plan(path, _plan(config, share, memory))
    write(f"{path} has these options in the format of params.yaml\n")


def _plan(config: Config, share: int, memory: float | None) -> str:
    """Measure and report; returns the content of plan.yaml."""
    meta, images = _data(config)
    room = _room(config, memory, images * 3 * meta.size**2)
    write(f"{room.device.name}: {room.text}\n")
    write(f"{_subject(config, meta)}, {share} images per process and update\n\n")
    write(f"{'patches':>10}{'micro-batch':>14}{'batch':>8}{'memory':>14}{'images/s':>12}\n")

    def measure(patches: int, micro_batch: int, batch: int) -> Measurement:
        footprint = footprints.try_out(config, meta, micro_batch=micro_batch, patches=patches, batch=batch)
        trial = Measurement(patches, micro_batch, batch, footprint)
        write(_row(trial, room.budget))
        return trial

    try:
        best = search(measure, share=share, size=meta.size, budget=room.budget)
    except TooLargeError as error:
        raise ValueError(_refusal(config, error.leanest, room)) from None
    speed = _speed(config, best, room.device)
    _conclude(config, best, speed)
    return _pinned(config, meta, best, room, speed)


def _data(config: Config) -> tuple[DatasetMeta, int]:
    """Metadata of the data set, and the number of its images."""
    if not Path(config.paths.train_data).exists():
        count = config.data.identities
        say(f"plan: there is no data set yet: planning for {count} images of the configuration")
        return scene.planned_meta(config.data), count
    dataset = scene.open_dataset(config.paths.train_data, config.data)
    say(f"plan: found the data set: {len(dataset)} images in {config.paths.train_data}")
    return dataset.meta, len(dataset)


def _room(config: Config, memory: float | None, images: int) -> Room:
    device = footprints.device(config)
    if memory is not None:
        total, text = memory * GIB, f"planning for {memory:g} GiB"
    else:
        neighbours = 1 if device.is_gpu else config.train.launch.processes
        total = MARGIN * device.free / neighbours
        among = f" for each of {neighbours} processes" if neighbours > 1 else ""
        text = f"{amount(device.free)} free, planning for {amount(total)}{among}"
    return Room(device, total - images, f"{text}, {amount(images)} of it for images")


def _subject(config: Config, meta: DatasetMeta) -> str:
    train = config.train
    recompute = "activations recomputed" if train.recompute else "activations kept"
    sampler = f"{config.sampler.points} points per ray ({config.sampler.kind})"
    return f"{meta.size} x {meta.size} pixels, {sampler}, precision {train.precision}, {recompute}"


def _row(trial: Measurement, budget: float) -> str:
    settings = f"{trial.patches:>10}{trial.micro_batch:>14}{trial.batch:>8}"
    if trial.footprint is None:
        return f"{settings}   does not fit this machine\n"
    peak, speed = f"{trial.footprint.peak_bytes / GIB:.2f} GiB", f"{1 / trial.seconds_per_image:.1f}"
    return f"{settings}{peak:>14}{speed:>12}{'' if trial.fits(budget) else '   too much'}\n"


def _speed(config: Config, best: Measurement, device: footprints.Device) -> float:
    """Images per second of all processes; several on one machine's cores are no faster than one."""
    asked = config.train.launch
    return asked.machines * (asked.processes if device.is_gpu else 1) / best.seconds_per_image


def _conclude(config: Config, best: Measurement, speed: float) -> None:
    images = config.train.steps * config.train.batch_size
    write(
        f"\ntrain.micro_batch={best.micro_batch} train.patches={best.patches} fits: "
        f"{speed:.1f} images/s, {duration(images / speed)} for {config.train.steps} steps of "
        f"{config.train.batch_size} images ({images / speed / 86400:.2f} days)\n"
    )


def _refusal(config: Config, leanest: Measurement | None, room: Room) -> str:
    needs = "needs more than is available"
    if leanest is not None and leanest.footprint is not None:
        needs = f"needs {amount(leanest.footprint.peak_bytes)}, with train.patches={leanest.patches}"
    remedies = [] if config.train.recompute else ["train.recompute=true"]
    remedies += ["smaller networks (model), fewer points per ray (sampler.points), fewer pixels (data.size)"]
    available = amount(max(room.budget, 0))
    return f"{available} are not enough: one image at a time {needs}: choose {', or '.join(remedies)}"


def _pinned(config: Config, meta: DatasetMeta, best: Measurement, room: Room, speed: float) -> str:
    """Overrides in the format of params.yaml, with the measurement in comments."""
    assert best.footprint is not None, "it fits"
    return (
        f"# python -m pipeline.plan, {date.today()}: {room.device.name}, torch {torch.__version__}\n"
        f"# {_subject(config, meta)}, {best.batch} images per process and update\n"
        f"# {room.text}\n"
        f"# measured: {amount(best.footprint.peak_bytes)} at most, {speed:.1f} images/s of all processes\n"
        "train:\n"
        f"  micro_batch: {best.micro_batch}\n"
        f"  patches: {best.patches}\n"
    )
