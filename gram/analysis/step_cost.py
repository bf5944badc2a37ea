"""Cost of a training step: peak memory and mean time."""

import math
import re
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from gram.geometry.poses import PosePrior
from gram.model.generator import Generator
from gram.training.batches import EpochSampler
from gram.training.state import TrainingSettings, TrainingState
from gram.training.step import Reals, train_step

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
LONG_SECONDS = 1.0
"""Duration above which a step is timed without a warm-up, whose cost is then negligible."""


class Footprint(NamedTuple):
    """Cost of training."""

    peak_bytes: int  # peak memory: of tensors on a GPU, of the whole process on a CPU
    seconds: float  # mean seconds per step, weighted by how often each kind of step occurs


def measure(state: TrainingState, prior: PosePrior, settings: TrainingSettings, *, size: int) -> Footprint:
    """Measure steps of every kind on noise, and the rendering of an image as between steps.

    Args:
        state: training state, which is spoiled by the steps.
        prior: prior of the camera poses.
        settings: settings of the steps.
        size: image side in pixels.

    Raises:
        MemoryError or RuntimeError: out of memory, see `gram.system.memory.is_out_of_memory`.
    """
    device = next(state.generator.parameters()).device
    count = settings.batch_size
    noise = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, device=device)
    reals = Reals(images=noise, poses=prior.sample(count).to(device))
    sampler = EpochSampler(count, count, seed=0)

    def seconds(step: int) -> float:
        state.step = step
        start = time.perf_counter()
        train_step(state, reals, prior, sampler, settings)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    def settled_seconds(step: int) -> float:
        first = seconds(step)  # includes the warm-up
        return first if first > LONG_SECONDS else seconds(step)

    seconds(0)  # allocates the optimisers' moments
    reset_peak(device)
    mean = sum(settled_seconds(step) * share for step, share in step_kinds(settings).items())
    average = state.emas[0].module
    assert isinstance(average, Generator)
    average.render(torch.randn(1, average.z_dim, device=device), reals.poses[:1], size=size)
    return Footprint(peak_bytes(device), mean)


def step_kinds(settings: TrainingSettings) -> dict[int, float]:
    """Map a step of each kind (with or without R1 and update of M) to the frequency of its kind."""
    r1, manifold = settings.r1_every, settings.manifold_every
    shares = {0: 1 / math.lcm(r1, manifold)}
    if r1 % manifold:
        shares[r1] = 1 / r1 - shares[0]
    if manifold % r1:
        shares[manifold] = 1 / manifold - shares[0]
    if min(r1, manifold) > 1:
        shares[1] = 1.0 - sum(shares.values())
    return shares


def reset_peak(device: torch.device) -> None:
    """Reset the peak memory, if the system supports it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        with suppress(OSError):  # not permitted: the peak then includes earlier steps
            _CLEAR.write_text(_RESET_PEAK, encoding="utf-8")


def peak_bytes(device: torch.device) -> int:
    """Peak memory since `reset_peak`: of tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():  # getrusage would include the parent's memory at the fork
        peak = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="utf-8"))
        assert peak is not None, "every process has one"
        return int(peak[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
