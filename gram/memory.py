"""What the C library does with memory that is given back."""

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST = 2**31 - 1


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
