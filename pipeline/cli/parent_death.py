"""A process that does not outlive the one that started it, even when that one is killed with SIGKILL.

A launcher that is killed cannot end its workers, which have sessions of their own: they would train on,
hold the GPUs and wait for each other for ever. The kernel can end them, if each asks for it.
"""

import ctypes
import os
import runpy
import signal
import sys

from pipeline.cli.dvc_parent import PARENT

_PR_SET_PDEATHSIG = 1


def hold() -> bool:
    """Have the kernel kill this process when its parent ends; where it has ended already, end now.

    What counts as the parent is the thread that started this process: threads that start processes should
    wait for them. Children of this process are not affected unless they hold, too.

    Returns:
        Whether the kernel can be told; only Linux can.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    expected = os.environ.pop(PARENT, None)  # it is nobody else's parent
    if expected is not None and os.getppid() != int(expected):
        os._exit(128 + signal.SIGKILL)  # the parent ended before the kernel was told
    return True


def for_children() -> dict[str, str]:
    """What processes that this one starts need in their environment to know a dead parent."""
    return {PARENT: str(os.getpid())}


if __name__ == "__main__":  # followed by MODULE ARGUMENT...: like python -m, but holding
    hold()
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
