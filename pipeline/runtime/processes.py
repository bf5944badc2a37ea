"""Processes that train together, through Accelerate: their devices and communication."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore

from gram.ops.backend import Backend
from gram.training.distributed import Processes
from pipeline.config.schema import Config
from pipeline.runtime import build
from pipeline.runtime.device import working_backend
from pipeline.runtime.launch import workers


@dataclass(frozen=True, kw_only=True)
class Team:
    """Process group, device and backend of this process."""

    processes: Processes
    device: torch.device
    backend: Backend

    @property
    def is_first(self) -> bool:
        """True for the process that writes files and messages."""
        return self.processes.rank == 0

    def require_equal(self, what: str, value: str, *, remedy: str) -> None:
        """Refuse values that differ between processes, with a ValueError in each; a collective call."""
        number = int(hashlib.sha256(value.encode()).hexdigest()[:15], 16)
        largest, smallest = self.processes.largest(number), -self.processes.largest(-number)
        if largest != smallest:
            raise ValueError(
                f"process {self.processes.rank} has the {what} {value}, another one has others: {remedy}"
            )


@contextmanager
def join(config: Config) -> Iterator[Team]:
    """Join the process group of the launcher, if any, and leave it at the end; ValueError for the device."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    device = build.device(config.train.device)
    if device.type == "cpu" and config.train.precision == "fp16":
        raise ValueError("train.precision = fp16 needs a GPU: use bf16 or no")
    _meet_in_file(device)
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=config.train.precision)
    backend = working_backend(config.train, accelerator.device)
    several = accelerator.num_processes > 1
    control = dist.new_group(backend="gloo") if several and device.type == "cuda" else None
    assert not isinstance(control, int), "every process is a member"
    processes = Processes(rank=accelerator.process_index, size=accelerator.num_processes, control=control)
    try:
        yield Team(processes=processes, device=accelerator.device, backend=backend)
    finally:
        accelerator.end_training()
        AcceleratorState._reset_state(reset_partial_state=True)  # the next run may have another precision


def _meet_in_file(device: torch.device) -> None:
    """Rendezvous with the processes of this machine in the launcher's file, without a port."""
    if meeting := os.environ.get(workers.MEETING):
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        store = FileStore(meeting, size)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)


class DelayedMaximum:
    """Maximum of a number over all processes, one step late, without waiting for the others."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._answer: Callable[[], int] | None = None

    def ask(self, value: int) -> int:
        """Submit this process's value and return the maximum of the last call; alone, the value itself."""
        asked, self._answer = self._answer, self._processes.largest_async(value)
        if self._processes.size == 1:
            return value
        return 0 if asked is None else asked()

    def close(self) -> None:
        """Wait for the last answer, so that no message is pending when the processes leave."""
        if self._answer is not None:
            self._answer()
