"""How long work takes on a CPU or a GPU, and the most memory it needs."""

import gc
import resource
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Timing(NamedTuple):
    """Seconds of several runs."""

    median: float
    fastest: float
    slowest: float


class Clock:
    """Times work on a device: CUDA events on a GPU, a wall clock elsewhere.

    Args:
        device: where the work runs.
        runs: of which the median is taken, after two that warm up.
    """

    WARM_UP = 2

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device, self.runs = device, runs

    def time(self, work: Callable[[], object]) -> Timing:
        """Seconds that `work` takes."""
        for _ in range(self.WARM_UP):
            work()
        return _spread([self._once(work) for _ in range(self.runs)])

    def time_backward(self, forward: Callable[[], tuple[Tensor, ...]]) -> Timing:
        """Seconds that back-propagation of what `forward` returns takes, without `forward` itself."""

        def prepared() -> Callable[[], None]:
            outputs = [output for output in forward() if output.requires_grad]
            ones = [torch.ones_like(output) for output in outputs]
            return lambda: torch.autograd.backward(outputs, ones)

        for _ in range(self.WARM_UP):
            prepared()()
        return _spread([self._once(prepared()) for _ in range(self.runs)])

    def _once(self, work: Callable[[], object]) -> float:
        if self.device.type != "cuda":
            start = time.perf_counter()
            work()
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / 1000.0

    def forget_memory(self) -> None:
        """Start to watch for the peak anew, where that can be."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gib(self) -> float:
        """Most memory that tensors on the GPU held at once; of a CPU, what this process ever held."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _spread(seconds: list[float]) -> Timing:
    return Timing(statistics.median(seconds), min(seconds), max(seconds))
