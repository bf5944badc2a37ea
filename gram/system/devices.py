"""What runs where: code by hand on a CPU, Triton's kernels on a GPU, plain torch on anything else."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

LEAN: bool | None = None
"""Whether the ways for devices other than a CPU are taken; None: there. For tests."""
KERNELS: bool | None = None
"""Whether Triton's kernels run; None: where there are Triton and CUDA."""


@contextmanager
def ways(*, lean: bool, kernels: bool) -> Iterator[None]:
    """Have these ways taken for a while, whatever the device."""
    global LEAN, KERNELS
    before = LEAN, KERNELS
    LEAN, KERNELS = lean, kernels
    try:
        yield
    finally:
        LEAN, KERNELS = before


def is_off_cpu(tensor: Tensor) -> bool:
    """Whether work on this tensor is for a device that must not wait: few, large, equal steps."""
    return tensor.device.type != "cpu" if LEAN is None else LEAN


def has_kernels(device: torch.device) -> bool:
    """Whether Triton's kernels run there."""
    return _has_kernels(device) if KERNELS is None else KERNELS


def runs_kernels(tensor: Tensor) -> bool:
    """Whether Triton's kernels can take this tensor."""
    return tensor.dtype == torch.float32 and has_kernels(tensor.device)


@cache
def _has_kernels(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.cuda is None or find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)  # the first with tf32


@cache
def shared_memory(device: torch.device) -> int:
    """Bytes of shared memory that a block of threads may use; more than any, where it is no GPU."""
    if device.type != "cuda":
        return 2**31
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin
