"""Training tried out in processes of its own: what it takes, or that it does not fit, harms nobody else."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import torch

from gram.data.format import DatasetMeta
from gram.footprint import Footprint, measure
from gram.memory import is_out_of_memory
from pipeline import build, hardware, scene, torch_settings
from pipeline.schema import Config

P = ParamSpec("P")
R = TypeVar("R")

_KILL_ME_FIRST = "1000"


class Device(NamedTuple):
    """What there is to train on."""

    name: str
    free: int  # bytes
    is_gpu: bool


def device(config: Config) -> Device:
    """The device that training would take, and what is free of it for all processes that train there.

    Raises:
        ValueError: the device is not to be had.
    """
    return _in_new_process(_device, config)


def try_out(
    config: Config, meta: DatasetMeta, *, micro_batch: int, patches: int, batch: int
) -> Footprint | None:
    """What training takes with other settings than those of `config`; None where it does not fit.

    Args:
        config: of the run.
        meta: of its data set.
        micro_batch: pictures at a time.
        patches: parts of a picture.
        batch: pictures of this process in an update.
    """
    try:
        return _in_new_process(_try_out, config, meta, micro_batch, patches, batch)
    except BrokenProcessPool:  # the system took memory back by ending the process
        return None


def _in_new_process(work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Memory is given back and peaks are forgotten for certain when a process ends."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments, **named).result()


def _device(config: Config) -> Device:
    chosen = build.device(config.train.device)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"{hardware.cores()} CPU cores"
    return Device(name, hardware.free_memory(chosen), chosen.type == "cuda")


def _try_out(
    config: Config, meta: DatasetMeta, micro_batch: int, patches: int, batch: int
) -> Footprint | None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILL_ME_FIRST)
    torch_settings.apply(config.train)
    settings = replace(
        build.training_settings(config), micro_batch=micro_batch, patches=patches, batch_size=batch
    )
    try:
        state = build.training_state(config, meta, build.device(config.train.device))
        return measure(state, scene.training_poses(config.data, meta), settings, size=meta.size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
