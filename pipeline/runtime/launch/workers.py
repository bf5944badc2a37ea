"""Worker processes of one machine: started, followed, and started again.

Run as `python -m pipeline.runtime.launch.workers`.

They meet in a file of a folder that only the user can read: nothing listens for them.
Several machines need a port to meet at, and have `pipeline.runtime.launch.accelerate`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.cli import parent_death
from pipeline.cli.command import EXIT_ERROR
from pipeline.cli.console import say

MEETING = "GRAM_MEETING"
"""Environment variable that names the file; of the launcher, without the number of the attempt."""
LOST_SECONDS = 5
"""How long workers have to notice that another one is gone."""
STOP_SECONDS = 100
"""How long workers have to write a checkpoint after a signal, before they are killed."""
_LOOK_EVERY_SECONDS = 0.05


class Workers:
    """As many processes as asked for, which know their ranks as those of torchrun do.

    Each has a session of its own, so that Ctrl-C reaches it once, through `send`.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self.asked: int | None = None
        """The last signal that asked them to end."""
        self._command, self._count = command, count
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, meeting: Path) -> None:
        """Start all of them; the file has to be one that none has met in before."""
        self._processes = []
        for rank in range(self._count):
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self._count}
            ranks["LOCAL_WORLD_SIZE"] = self._count
            own = {name: str(value) for name, value in ranks.items()}
            environment = {**os.environ, **parent_death.for_children(), **own, MEETING: str(meeting)}
            started = subprocess.Popen(self._command, env=environment, start_new_session=True)
            self._processes.append(started)
        if self.asked is not None:  # while they were started
            self._send(self.asked)

    def send(self, number: int, frame: object = None) -> None:
        """Hand a request to stop on to all that run."""
        self.asked = number
        self._send(number)

    def first_failure(self) -> tuple[int, int] | None:
        """Wait for all to end, or for one to fail or a request to stop to be overdue.

        Returns:
            Rank and exit code of the first that failed, or None. Of several at a time it is one that a
            signal killed: the others fail because it is gone.
        """
        deadline = None
        while True:
            codes = [process.poll() for process in self._processes]
            failed = [(code > 0, rank, code) for rank, code in enumerate(codes) if code]
            if failed and self.asked is None:
                _, rank, code = min(failed)
                return rank, code
            if all(code is not None for code in codes):
                return failed[0][1:] if failed else None
            if self.asked is not None:
                deadline = deadline or time.monotonic() + STOP_SECONDS
                if time.monotonic() > deadline:
                    self._send(signal.SIGKILL)
            time.sleep(_LOOK_EVERY_SECONDS)

    def end(self) -> None:
        """End all that still run, with SIGKILL those that take longer than STOP_SECONDS.

        Those that notice that another one is gone end by themselves and say so: they have LOST_SECONDS.
        """
        self._wait(LOST_SECONDS)
        self._send(signal.SIGTERM)
        self._wait(STOP_SECONDS)
        self._send(signal.SIGKILL)
        self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        """Wait until all have ended, or so long."""
        deadline = None if seconds is None else time.monotonic() + seconds
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _send(self, number: int) -> None:
        for process in self._processes:
            process.send_signal(number)  # nothing where it has ended


def main(arguments: Sequence[str]) -> int:
    """Run COUNT processes of `python -m MODULE ARGUMENT...`, and all anew, up to RESTARTS times, if one dies.

    Args:
        arguments: COUNT, RESTARTS, MODULE, ARGUMENT...

    Returns:
        0 if all ended with it, else EXIT_ERROR; `pipeline.runtime.launch.exit_status` tells the first error.
    """
    parent_death.hold()
    count, restarts, *command = arguments
    workers = Workers([sys.executable, "-m", *command], int(count))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, workers.send)
    for attempt in range(int(restarts) + 1):
        workers.start(Path(f"{os.environ[MEETING]}-{attempt}"))
        failure = workers.first_failure()
        if failure is None:
            return 0
        workers.end()
        if workers.asked is not None:
            return EXIT_ERROR  # they know why
        rank, code = failure
        end = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        say(f"launch: process {rank} {end}; the others were ended")
    return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
