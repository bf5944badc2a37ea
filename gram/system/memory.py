"""Memory: retention of freed blocks by the C library, and detection of out-of-memory errors."""

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
    """Keep large freed blocks in this process for reuse.

    By default glibc returns them to the system, which has to clear every page again: training on a CPU spends
    a fifth of its time on that.

    Returns:
        True if the C library supports it, which only glibc does.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means that memory is not available, on a GPU or a CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
