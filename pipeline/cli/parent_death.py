"""Processes that do not outlive their parent, even when SIGKILL ends it.

A killed launcher cannot end its workers, which have their own sessions: they would hold the GPUs and wait for
each other forever. The kernel ends those that request it.
"""

import ctypes
import os
import runpy
import signal
import sys

from pipeline.cli.dvc_parent import PARENT
from pipeline.cli.exit_codes import killed_by

_PR_SET_PDEATHSIG = 1


def hold() -> bool:
    """Let the kernel kill this process when its parent ends; if it has ended already, end now.

    The parent is the thread that started this process: such threads should wait for it. Children of this
    process are not affected unless they call this, too.

    Returns:
        True on Linux, False where the kernel offers no such request.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    expected = os.environ.pop(PARENT, None)  # children of this process have another parent
    if expected is not None and os.getppid() != int(expected):
        os._exit(killed_by(signal.SIGKILL))  # the parent ended before the request
    return True


def for_children() -> dict[str, str]:
    """Environment variables by which child processes recognise a dead parent."""
    return {PARENT: str(os.getpid())}


if __name__ == "__main__":  # followed by MODULE ARGUMENT...: like python -m, but holding
    hold()
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
