"""Trials of training in separate processes, which free all memory, also of failures, at their end."""

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
    """Device to train on."""

    name: str
    free: int  # bytes
    is_gpu: bool


def device(config: Config) -> Device:
    """Device of training, with its free memory for all processes together; ValueError if not available."""
    return in_new_process(partial(_device, config))


def try_out(
    config: Config, meta: DatasetMeta, *, micro_batch: int, patches: int, batch: int
) -> Footprint | None:
    """Measure training with other settings than those of `config`; None if it does not fit."""
    try:
        return in_new_process(partial(_try_out, config, meta, micro_batch, patches, batch))
    except EndedError as error:
        if error.signal in (signal.SIGKILL, signal.SIGABRT):  # killed by the system, or by C++ out of memory
            return None
        raise


class EndedError(RuntimeError):
    """Process that ended without a result."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"a process that measured training ended with code {code}")
        self.signal = -code if code is not None and code < 0 else None


def in_new_process(work: Callable[[], R]) -> R:
    """Run `work` in a separate process, and return or raise its result; EndedError if there is none."""
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
