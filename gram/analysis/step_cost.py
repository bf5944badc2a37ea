"""What a training step takes: memory at its worst, and time on average."""

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
"""A step that takes longer is timed once: what is made once does not matter any more."""


class Footprint(NamedTuple):
    """Of training with some settings."""

    peak_bytes: int  # of the GPU's memory for tensors, or of the whole process on a CPU
    seconds: float  # a step takes on average, the rarer kinds of steps counted as often as they are


def measure(state: TrainingState, prior: PosePrior, settings: TrainingSettings, *, size: int) -> Footprint:
    """Take steps of every kind on noise, and draw a picture as training does between its steps.

    Args:
        state: that is trained, of no use for anything else afterwards.
        prior: of the cameras.
        settings: of the steps.
        size: pixels along one side.

    Raises:
        MemoryError or RuntimeError: it does not fit, see `gram.system.memory.is_out_of_memory`.
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
        first = seconds(step)  # whatever is made once takes its time
        return first if first > LONG_SECONDS else seconds(step)

    seconds(0)  # makes the optimisers' moments
    forget_peak(device)
    mean = sum(settled_seconds(step) * share for step, share in kinds_of_steps(settings).items())
    average = state.emas[0].module
    assert isinstance(average, Generator)
    average.render(torch.randn(1, average.z_dim, device=device), reals.poses[:1], size=size)
    return Footprint(peak_bytes(device), mean)


def kinds_of_steps(settings: TrainingSettings) -> dict[int, float]:
    """A step of each kind (with R1 or not, with M updated or not) -> the share of steps of its kind."""
    r1, manifold = settings.r1_every, settings.manifold_every
    shares = {0: 1 / math.lcm(r1, manifold)}
    if r1 % manifold:
        shares[r1] = 1 / r1 - shares[0]
    if manifold % r1:
        shares[manifold] = 1 / manifold - shares[0]
    if min(r1, manifold) > 1:
        shares[1] = 1.0 - sum(shares.values())
    return shares


def forget_peak(device: torch.device) -> None:
    """Let the peak start anew, where the system knows how."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        with suppress(OSError):  # where it is forbidden, the peak is that of all steps: much the same
            _CLEAR.write_text(_RESET_PEAK, encoding="utf-8")


def peak_bytes(device: torch.device) -> int:
    """Most memory since `forget_peak`: of the GPU's for tensors, or of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():  # getrusage would count what the parent used when it started this process
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="utf-8"))
        assert found is not None, "every process has one"
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
