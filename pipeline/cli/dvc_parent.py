"""A stage that ends with the DVC that started it, even when that one is killed.

DVC waits for its stages; one that is killed would leave its stage at work, for the next `dvc repro` to meet.
"""

import os
import select
import signal
import sys
import threading

DVC_STAGE = "DVC_STAGE"
"""Environment variable of what DVC starts."""
PARENT = "GRAM_PARENT"
"""Environment variable of a process's number, for those that it starts (`pipeline.cli.parent_death`)."""


def end_with_dvc() -> None:
    """Have this process killed when the DVC that it is a stage of ends, if it is one.

    A thread waits for that, not the kernel as in `pipeline.cli.parent_death`: a shell may stand between the
    two. A process that holds on to a parent of its own ends with that one.
    """
    if DVC_STAGE not in os.environ or PARENT in os.environ or not sys.platform.startswith("linux"):
        return
    number = _nearest_without(DVC_STAGE)
    try:
        if os.getpgid(number) != os.getpgrp() != os.getpid():
            _end()  # DVC has ended: what took its place is of another group
        dvc = os.pidfd_open(number)
    except ProcessLookupError:
        _end()
    except OSError:  # a kernel before 5.3, or a sandbox
        return
    else:
        threading.Thread(target=_end_after, args=(dvc,), daemon=True).start()


def _nearest_without(variable: str) -> int:
    """Number of the nearest process above this one that was started without an environment variable."""
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
