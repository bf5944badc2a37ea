"""Memory: what the C library does with what is given back, and how errors say that there is none left."""

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST = 2**31 - 1
_SIGNS = (
    "can't allocate memory",  # torch on a CPU
    "out of memory",  # CUDA, NCCL
    "ALLOC_FAILED",  # cuBLAS, cuDNN
    "could not create a",  # oneDNN: a primitive, a memory object
    "can't start new thread",
)


def keep_freed_memory() -> bool:
    """Have this process keep large blocks that it frees, for its next allocation.

    glibc returns them to the system, which clears every page anew when it is touched again: training on a CPU
    spends a fifth of its time on that.

    Returns:
        Whether the C library can be told; other libraries than glibc cannot.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory was asked for and not to be had, on a GPU or on a CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
