"""Stages that end with the DVC that started them, even when DVC is killed.

Otherwise the stage would still run, and write, during the next `dvc repro`.
"""

import os
import select
import signal
import sys
import threading

DVC_STAGE = "DVC_STAGE"
"""Environment variable that DVC sets for its stages."""
PARENT = "GRAM_PARENT"
"""Environment variable with the number of the parent process (`pipeline.cli.parent_death`)."""


def end_with_dvc() -> None:
    """Kill this process when the DVC that started it as a stage ends.

    A thread waits for DVC, not the kernel as in `pipeline.cli.parent_death`, as a shell may lie between the
    two. A process with PARENT set ends with that parent instead.
    """
    if DVC_STAGE not in os.environ or PARENT in os.environ or not sys.platform.startswith("linux"):
        return
    number = _nearest_without(DVC_STAGE)
    try:
        if os.getpgid(number) != os.getpgrp() != os.getpid():
            _end()  # DVC has ended: the new parent is in another process group
        dvc = os.pidfd_open(number)
    except ProcessLookupError:
        _end()
    except OSError:  # a kernel before 5.3, or a sandbox
        return
    else:
        threading.Thread(target=_end_after, args=(dvc,), daemon=True).start()


def _nearest_without(variable: str) -> int:
    """Number of the nearest ancestor that was started without an environment variable."""
    number = os.getpid()
    while number > 1:
        with open(f"/proc/{number}/stat", "rb") as file:
            number = int(file.read().rpartition(b")")[2].split()[1])
        try:
            with open(f"/proc/{number}/environ", "rb") as file:
                names = [entry.partition(b"=")[0] for entry in file.read().split(b"\0")]
        except PermissionError:  # of another user
            break
        if variable.encode() not in names:
            break
    return number


def _end_after(process: int) -> None:
    select.select([process], [], [])
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
