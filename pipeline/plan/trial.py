"""Training tried out in processes of its own: what it takes, or that it does not fit, harms nobody else."""

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from gram.analysis.step_cost import Footprint, measure
from gram.data.format import DatasetMeta
from gram.system.memory import is_out_of_memory
from pipeline.cli import startup
from pipeline.config.schema import Config
from pipeline.runtime import build, hardware, scene, torch_settings
from pipeline.runtime.device import working_backend

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
    return in_new_process(partial(_device, config))


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
        return in_new_process(partial(_try_out, config, meta, micro_batch, patches, batch))
    except EndedError as error:
        if error.signal in (signal.SIGKILL, signal.SIGABRT):  # by the system, or by C++ without memory
            return None
        raise


class EndedError(RuntimeError):
    """A process ended before its work."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"a process that tried out training ended with code {code}")
        self.signal = -code if code is not None and code < 0 else None


def in_new_process(work: Callable[[], R]) -> R:
    """What `work` returns or raises in a process of its own, with which all its memory goes.

    Raises:
        EndedError: the process ended before that.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, work))
    process.start()
    sender.close()
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        raise EndedError(process.exitcode) from None
    except KeyboardInterrupt:
        process.kill()
        raise
    process.join()
    if error is not None:
        raise error
    return result


def _send(sender: Connection, work: Callable[[], object]) -> None:
    startup.begin_worker()
    try:
        sender.send((work(), None))
    except Exception as error:
        sender.send((None, error))


def _device(config: Config) -> Device:
    chosen = build.device(config.train.device)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"{hardware.cores()} CPU cores"
    return Device(name, hardware.free_memory(chosen), chosen.type == "cuda")


def _try_out(
    config: Config, meta: DatasetMeta, micro_batch: int, patches: int, batch: int
) -> Footprint | None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILL_ME_FIRST, encoding="utf-8")
    torch_settings.apply(config.train)
    settings = replace(
        build.training_settings(config), micro_batch=micro_batch, patches=patches, batch_size=batch
    )
    device = build.device(config.train.device)
    backend = working_backend(config.train, device)
    try:
        state = build.training_state(config, meta, device, backend)
        return measure(state, scene.training_poses(config.data, meta), settings, size=meta.size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
